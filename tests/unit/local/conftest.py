"""Settings in a temporary directory."""

from pathlib import Path

import pytest

from local.settings import LocalSettings


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    return LocalSettings(
        project_directory=tmp_path, state_directory=tmp_path / "state", port_base=4610
    )

"""The templates in a second cloud, by other authors: do keys, plans and roles hold there?"""

from pathlib import Path

import pytest

from local.ministack import check_in_ministack, find_ministack
from local.settings import LocalSettings
from tests.support_local import free_port_base

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PROJECT = Path(__file__).resolve().parents[2]


def test_keys_plans_and_roles_are_enforced_there(tmp_path: Path) -> None:
    command = find_ministack()
    if command is None:
        pytest.skip("needs ministack in an environment of its own: see local/ministack")
    settings = LocalSettings(
        project_directory=PROJECT, state_directory=tmp_path, port_base=free_port_base()
    )
    answers = check_in_ministack(settings, command, report=lambda message: None)
    assert len(answers) > 10
    assert [answer for answer in answers if not answer.is_right] == []

"""The templates in a second cloud, by other authors: does the API refuse and accept there too?"""

from pathlib import Path

import pytest

from local.ministack import check_in_ministack, find_ministack
from local.settings import LocalSettings
from tests.support_local import free_port_base

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PROJECT = Path(__file__).resolve().parents[2]


def test_the_api_asks_for_a_key_there_too(tmp_path: Path) -> None:
    command = find_ministack()
    if command is None:
        pytest.skip("needs ministack in an environment of its own: see local/ministack.py")
    settings = LocalSettings(
        project_directory=PROJECT, state_directory=tmp_path, port_base=free_port_base()
    )
    answers = check_in_ministack(settings, command, report=lambda message: None)
    for question, status in answers.items():
        expected = {200, 202} if question.endswith("with the key") else {401, 403}
        assert status in expected, (question, status)

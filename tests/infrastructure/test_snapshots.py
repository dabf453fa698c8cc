"""What a change does to the templates, for the eyes of who reviews it.

`UPDATE_SNAPSHOTS=1 python -m pytest tests/infrastructure/test_snapshots.py` writes the summaries
anew; look at their diff.
"""

import json
import os
from pathlib import Path

import pytest

from tests.infrastructure.summary import summarise

SNAPSHOTS = Path(__file__).with_name("snapshots")


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_templates_are_as_they_were_reviewed(
    stage: str, request: pytest.FixtureRequest
) -> None:
    assembly = request.getfixturevalue({"dev": "assembly", "prod": "production"}[stage])
    found = json.dumps(summarise(assembly), indent=1, sort_keys=True) + "\n"
    path = SNAPSHOTS / f"{stage}.json"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found)
    assert path.read_text() == found, (
        "The templates changed. If that is meant: UPDATE_SNAPSHOTS=1 python -m pytest "
        "tests/infrastructure/test_snapshots.py, and look at the diff."
    )

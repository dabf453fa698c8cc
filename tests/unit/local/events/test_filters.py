import json
from typing import Any

import pytest

from local.events.filters import EventFilter


def event(state: str) -> dict[str, Any]:
    return {"eventName": "MODIFY", "dynamodb": {"NewImage": {"state": {"S": state}}}}


def criteria(*patterns: Any) -> dict[str, Any]:
    return {"Filters": [{"Pattern": json.dumps(pattern)} for pattern in patterns]}


QUEUED = {"dynamodb": {"NewImage": {"state": {"S": ["queued"]}}}}


@pytest.mark.parametrize(("state", "kept"), [("queued", True), ("running", False)])
def test_a_pattern_keeps_what_matches(state: str, kept: bool) -> None:
    assert EventFilter(criteria(QUEUED)).keeps(event(state)) is kept


def test_any_pattern_is_enough_and_none_keeps_all() -> None:
    either = EventFilter(criteria({"eventName": ["INSERT"]}, QUEUED))
    assert either.keeps(event("queued"))
    assert not either.keeps(event("running"))
    assert EventFilter(None).keeps(event("running"))


def test_a_removed_item_has_no_new_image() -> None:
    assert not EventFilter(criteria(QUEUED)).keeps({"eventName": "REMOVE", "dynamodb": {}})

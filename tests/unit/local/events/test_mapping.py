from typing import Any

import pytest

from local.events.mapping import Mapping, failed_identifiers


@pytest.mark.parametrize(
    ("payload", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, None),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, None),
        ({"batchItemFailures": [{"wrong": "a"}]}, None),
        ({"other": 1}, None),
        ("text", None),
    ],
)
def test_failures_are_read_as_lambda_reads_them(payload: Any, failed: set[str] | None) -> None:
    assert failed_identifiers(payload) == failed


def test_a_configuration_without_limits_has_none() -> None:
    mapping = Mapping.from_configuration(
        {
            "UUID": "1",
            "FunctionArn": "f",
            "EventSourceArn": "s",
            "BatchSize": 10,
            "MaximumRetryAttempts": -1,
        }
    )
    assert mapping.max_retries is None
    assert mapping.max_age_seconds is None
    assert mapping.lanes == 1
    assert not mapping.bisects

import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.errors import UnsupportedResourceError
from local.events.schedules import Scheduler, interval_seconds


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("rate(1 minute)", 60),
        ("rate(5 minutes)", 300),
        ("rate(2 hours)", 7200),
        ("rate(1 day)", 86400),
    ],
)
def test_rates_in_seconds(expression: str, seconds: int) -> None:
    assert interval_seconds(expression) == seconds


@pytest.mark.parametrize("expression", ["cron(0 12 * * ? *)", "rate(0 minutes)", "rate(x)", ""])
def test_other_schedules_are_refused(expression: str) -> None:
    with pytest.raises(UnsupportedResourceError):
        interval_seconds(expression)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("events", region_name="us-east-1")


def test_a_rule_is_due_after_its_interval_each_time(events: Any) -> None:
    events.put_rule(Name="sweep", ScheduleExpression="rate(5 minutes)")
    events.put_targets(Rule="sweep", Targets=[{"Id": "1", "Arn": "arn:f"}])
    invoked: list[tuple[Any, Any]] = []
    scheduler = Scheduler(lambda target, event: invoked.append((target, event)))
    scheduler.stop()
    now = time.monotonic() + 1000
    scheduler.tick(now)
    count = len(invoked)
    for after, expected in ((299.0, 0), (301.0, 1), (302.0, 1), (602.0, 2)):
        scheduler.tick(now + after)
        assert len(invoked) - count == expected
    target, event = invoked[-1]
    assert target["Arn"] == "arn:f"
    assert event["detail-type"] == "Scheduled Event"
    events.disable_rule(Name="sweep")
    scheduler.tick(now + 5000)
    assert len(invoked) - count == 2

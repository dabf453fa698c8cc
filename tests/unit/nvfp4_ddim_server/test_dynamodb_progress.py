import builtins
import logging
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from nvfp4_ddim_contracts.table import job_partition
from nvfp4_ddim_server.dynamodb_progress import DynamoDBProgress
from nvfp4_ddim_server.errors import StartError

JOB = "0123456789abcdef" * 2


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield boto3.resource("dynamodb").create_table(
            TableName="jobs",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )


@pytest.mark.parametrize("state", ["queued", "running"])
def test_moves_the_job_to_running(table: Any, state: str) -> None:
    table.put_item(Item={"pk": job_partition(JOB), "state": state, "attempt": 2})
    assert DynamoDBProgress.connect("jobs").report(JOB, 3, 20)
    item = table.get_item(Key={"pk": job_partition(JOB)})["Item"]
    assert (item["state"], item["step"], item["total_steps"], item["attempt"]) == (
        "running",
        3,
        20,
        2,
    )
    assert item["updated_at"].endswith("+00:00")


@pytest.mark.parametrize("state", ["cancelled", "expired", "failed", "succeeded"])
def test_a_job_that_has_ended_is_unwanted_and_untouched(table: Any, state: str) -> None:
    table.put_item(Item={"pk": job_partition(JOB), "state": state})
    assert not DynamoDBProgress.connect("jobs").report(JOB, 3, 20)
    assert table.get_item(Key={"pk": job_partition(JOB)})["Item"]["state"] == state


def test_a_job_that_is_gone_is_unwanted(table: Any) -> None:
    assert not DynamoDBProgress.connect("jobs").report(JOB, 3, 20)


def test_other_trouble_is_logged_and_never_stops_a_job(
    table: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert DynamoDBProgress.connect("no-such-table").report(JOB, 3, 20)
    assert "progress not written" in caplog.text
    assert caplog.records[-1].__dict__["fields"]["job_id"] == JOB


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_boto3(name: str, *rest: Any, **named: Any) -> Any:
        if name == "boto3":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without_boto3)
    with pytest.raises(StartError, match=r"pip install .*server,aws"):
        DynamoDBProgress.connect("jobs")


def test_says_that_the_region_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(StartError, match="region"):
        DynamoDBProgress.connect("jobs")

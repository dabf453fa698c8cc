"""Tasks of batches in DynamoDB, and the batches' bucket."""

import json
from typing import Any

import boto3
import pytest

from lambdas.adapters.dynamodb_batch_tasks import DynamoDBBatchTasks
from lambdas.adapters.s3_batches import S3Batches
from lambdas.adapters.step_functions import StepFunctionsTokens
from lambdas.domain.batches.records import BatchTask, TaskRow
from lambdas.domain.errors import ObjectNotFoundError

TASK = BatchTask(
    id="1" * 32,
    token="token",
    batch="pets",
    run="one",
    rows=(TaskRow(item_line=1, item_id="fox", digest="d", job_id="a"),),
    expires_at=2_000_000_000,
)


@pytest.fixture
def tasks(cloud: Any) -> DynamoDBBatchTasks:
    return DynamoDBBatchTasks(cloud.dynamodb, "jobs")


def test_a_task_ends_with_its_last_job_however_often_each_is_told(
    tasks: DynamoDBBatchTasks,
) -> None:
    tasks.put(TASK, ["a", "b", "b"])
    assert tasks.get(TASK.id) == TASK
    assert tasks.waiting_for("a") == {TASK.id}
    assert not tasks.settle(TASK.id, "a")
    assert not tasks.settle(TASK.id, "a")
    assert tasks.settle(TASK.id, "b")
    assert tasks.settle(TASK.id, "b")
    assert not tasks.settle(TASK.id, "a")
    tasks.close(TASK.id)
    assert not tasks.settle(TASK.id, "b")
    assert tasks.get(TASK.id) == TASK


def test_two_tasks_may_wait_for_one_job(tasks: DynamoDBBatchTasks) -> None:
    other = TASK.model_copy(update={"id": "2" * 32})
    tasks.put(TASK, ["a"])
    tasks.put(other, ["a"])
    assert tasks.waiting_for("a") == {TASK.id, other.id}
    assert tasks.settle(other.id, "a")


def test_a_task_that_waits_for_nothing_and_one_that_is_not_there(tasks: DynamoDBBatchTasks) -> None:
    tasks.put(TASK, [])
    assert not tasks.settle(TASK.id, "a")
    assert not tasks.settle("3" * 32, "a")
    assert tasks.get("3" * 32) is None
    assert tasks.waiting_for("b") == frozenset()


def test_items_of_tasks_expire(tasks: DynamoDBBatchTasks, cloud: Any) -> None:
    tasks.put(TASK, ["a"])
    items = cloud.dynamodb.scan(TableName="jobs")["Items"]
    assert [item["expires_at"]["N"] for item in items] == ["2000000000"] * 2


def test_the_bucket_knows_sizes(cloud: Any) -> None:
    files = S3Batches(cloud.s3, "results-bucket")
    files.put("key", b"four", "text/plain")
    assert files.size("key") == 4
    with pytest.raises(ObjectNotFoundError):
        files.size("none")


def test_a_token_that_nobody_waits_for_is_no_error(cloud: Any) -> None:
    client = boto3.client("stepfunctions")
    error = client.exceptions.TaskTimedOut({"Error": {"Code": "TaskTimedOut"}}, "SendTaskSuccess")

    class Late:
        exceptions = client.exceptions

        def send_task_success(self, **arguments: Any) -> None:
            assert json.loads(arguments["output"]) == {}
            raise error

    assert not StepFunctionsTokens(Late()).succeed("token", "{}")

"""Tasks of batches in the job table.

`batch-task#<id>` holds a task and the set of job ids that it still waits for; `batch-job#<id>`
holds the set of tasks that wait for a job. Sets make both writes repeatable: an id that is added or
removed twice changes nothing. The last id stays until the task was answered: the message that tells
of it can come again, and other jobs that are told twice find nothing to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lambdas.domain.batches.records import BatchTask
from nvfp4_ddim_contracts.table import PARTITION_KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["DynamoDBBatchTasks"]


@dataclass(frozen=True)
class DynamoDBBatchTasks:
    """Implements `BatchTaskStore`."""

    client: "DynamoDBClient"
    table_name: str

    def put(self, task: BatchTask, pending: Iterable[str]) -> None:
        """Store a task that waits for these jobs, and let each job find it."""
        jobs = sorted(set(pending))
        item: dict[str, Any] = {
            **_task_key(task.id),
            "task": {"S": task.model_dump_json()},
            "expires_at": {"N": str(task.expires_at)},
        }
        if jobs:
            item["pending"] = {"SS": jobs}
        self.client.put_item(TableName=self.table_name, Item=item)
        # Only now: a job that finds a task must find it whole.
        for job_id in jobs:
            self.client.update_item(
                TableName=self.table_name,
                Key=_job_key(job_id),
                UpdateExpression="ADD tasks :task SET expires_at = :expires_at",
                ExpressionAttributeValues={
                    ":task": {"SS": [task.id]},
                    ":expires_at": {"N": str(task.expires_at)},
                },
            )

    def get(self, task_id: str) -> BatchTask | None:
        """A task, or None."""
        item = self._read(_task_key(task_id))
        return BatchTask.model_validate_json(item["task"]["S"]) if item else None

    def waiting_for(self, job_id: str) -> frozenset[str]:
        """Ids of the tasks that wait for a job."""
        return frozenset(self._read(_job_key(job_id)).get("tasks", {}).get("SS", []))

    def settle(self, task_id: str, job_id: str) -> bool:
        """Note that a job of a task has ended; whether it is the last that the task waits for."""
        try:
            self.client.update_item(
                TableName=self.table_name,
                Key=_task_key(task_id),
                UpdateExpression="DELETE pending :jobs",
                ConditionExpression="contains(pending, :job) AND size(pending) > :one",
                ExpressionAttributeValues={
                    ":jobs": {"SS": [job_id]},
                    ":job": {"S": job_id},
                    ":one": {"N": "1"},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self.client.exceptions.ConditionalCheckFailedException as error:
            answer: dict[str, Any] = {**error.response}
            return bool(answer.get("Item", {}).get("pending", {}).get("SS") == [job_id])
        return False

    def close(self, task_id: str) -> None:
        """Note that a task was answered."""
        self.client.update_item(
            TableName=self.table_name, Key=_task_key(task_id), UpdateExpression="REMOVE pending"
        )

    def _read(self, key: Any) -> Any:
        answer = self.client.get_item(TableName=self.table_name, Key=key, ConsistentRead=True)
        return answer.get("Item", {})


def _task_key(task_id: str) -> dict[str, Any]:
    return {PARTITION_KEY: {"S": f"batch-task#{task_id}"}}


def _job_key(job_id: str) -> dict[str, Any]:
    return {PARTITION_KEY: {"S": f"batch-job#{job_id}"}}

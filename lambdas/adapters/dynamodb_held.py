"""Jobs whose attempt waits while the service is stopped, by their items' `held_attempt`.

A stop is rare, so that no index knows them: they are looked for among the jobs that have not ended.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lambdas.adapters.dynamodb_items import job_from_item, to_item
from lambdas.domain.records import JobRecord
from nvfp4_ddim_contracts import JobState
from nvfp4_ddim_contracts.jobs import sources_of
from nvfp4_ddim_contracts.table import PARTITION_KEY, hold_update, job_partition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["DynamoDBHeldJobs"]

_UNFINISHED = sources_of(JobState.QUEUED)


@dataclass(frozen=True)
class DynamoDBHeldJobs:
    """Implements `HeldJobs`. The index need not be named by who only holds."""

    client: "DynamoDBClient"
    table_name: str
    state_index: str = ""

    def hold(self, job_id: str, attempt: int) -> bool:
        """Note that an attempt waits; whether it is still wanted and was not noted before."""
        try:
            self.client.update_item(TableName=self.table_name, **hold_update(job_id, attempt))
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def all(self) -> Iterator[JobRecord]:
        """Jobs whose attempt waits."""
        pages = self.client.get_paginator("query")
        for state in _UNFINISHED:
            for page in pages.paginate(
                TableName=self.table_name,
                IndexName=self.state_index,
                KeyConditionExpression="#state = :state",
                FilterExpression="held_attempt = attempt",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues=to_item({":state": state.value}),
            ):
                yield from map(job_from_item, page["Items"])

    def release(self, job_id: str, attempt: int) -> bool:
        """Let an attempt be dispatched anew; whether it waited and is still wanted."""
        try:
            self.client.update_item(
                TableName=self.table_name,
                Key=to_item({PARTITION_KEY: job_partition(job_id)}),
                # The stream tells the dispatcher of queued jobs alone.
                UpdateExpression="SET dispatched_attempt = :before, #state = :queued "
                "REMOVE held_attempt",
                ConditionExpression="held_attempt = :attempt AND attempt = :attempt "
                f"AND #state IN ({', '.join(f':from{i}' for i in range(len(_UNFINISHED)))})",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues=to_item(
                    {
                        ":attempt": attempt,
                        ":before": attempt - 1,
                        ":queued": JobState.QUEUED.value,
                        **{f":from{i}": state.value for i, state in enumerate(_UNFINISHED)},
                    }
                ),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True

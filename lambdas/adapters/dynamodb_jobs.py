"""The job table in DynamoDB.

Partition key `pk`. Two global secondary indexes with all attributes projected: the owner's
(`owner`, `created_at`) and the state's (`state`, `updated_at`). TTL attribute `expires_at`. An
item that has expired but was not yet deleted counts as gone.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lambdas.adapters.dynamodb_items import (
    changed_attributes,
    idempotency_from_item,
    idempotency_partition,
    idempotency_to_item,
    job_from_item,
    job_to_item,
    to_item,
    to_text,
)
from lambdas.domain.errors import IdempotencyKeyTakenError, TransitionRefusedError
from lambdas.domain.records import IdempotencyRecord, JobPosition, JobRecord, Transition
from nvfp4_ddim_contracts import JobState
from nvfp4_ddim_contracts.jobs import sources_of
from nvfp4_ddim_contracts.table import PARTITION_KEY, job_partition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["DynamoDBJobs"]

_CONDITION_FAILED = "ConditionalCheckFailed"
_CONFLICT = "TransactionConflict"
_CONFLICT_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.4)
_UNFINISHED = tuple(state for state in JobState if not state.is_terminal)
# A filtered page may be empty; this many are read before the caller gets a shorter page.
_MAX_FILTERED_PAGES = 20


@dataclass(frozen=True)
class DynamoDBJobs:
    """Implements `JobStore`. An index that a function never queries need not be named."""

    client: "DynamoDBClient"
    table_name: str
    owner_index: str = ""
    state_index: str = ""

    def create(self, job: JobRecord, idempotency: IdempotencyRecord | None) -> None:
        """Store a new job, together with its idempotency record or not at all.

        Raises:
            IdempotencyKeyTakenError: The key's record exists and has not expired.
        """
        puts: list[Any] = [
            {
                "Put": {
                    "TableName": self.table_name,
                    "Item": job_to_item(job),
                    "ConditionExpression": f"attribute_not_exists({PARTITION_KEY})",
                }
            }
        ]
        if idempotency is not None:
            puts.append(
                {
                    "Put": {
                        "TableName": self.table_name,
                        "Item": idempotency_to_item(idempotency),
                        "ConditionExpression": (
                            f"attribute_not_exists({PARTITION_KEY}) OR expires_at <= :now"
                        ),
                        "ExpressionAttributeValues": to_item(
                            {":now": int(job.created_at.timestamp())}
                        ),
                    }
                }
            )
        for pause in (*_CONFLICT_PAUSES_SECONDS, None):
            try:
                self.client.transact_write_items(TransactItems=puts)
            except self.client.exceptions.TransactionCanceledException as error:
                reasons = _cancellation_reasons(error)
                if _CONDITION_FAILED in reasons[1:]:
                    raise IdempotencyKeyTakenError(
                        "The Idempotency-Key is already in use."
                    ) from error
                # Two requests with the same key at the same moment: one of them has to wait.
                if _CONFLICT not in reasons or pause is None:
                    raise
                time.sleep(pause)
            else:
                return

    def get(self, job_id: str) -> JobRecord | None:
        """A job, or None."""
        item = self._read(job_partition(job_id))
        return job_from_item(item) if item else None

    def get_idempotency(self, owner: str, key: str) -> IdempotencyRecord | None:
        """What the key stands for, or None; an expired record may still be returned."""
        item = self._read(idempotency_partition(owner, key))
        return idempotency_from_item(owner, key, item) if item else None

    def apply(self, transition: Transition) -> JobRecord:
        """Change a job's state under the transition's conditions.

        Raises:
            TransitionRefusedError: A condition does not hold, or there is no such job.
        """
        changes = changed_attributes(transition)
        sources = sources_of(transition.target)
        values: dict[str, str | int] = {f":{name}": value for name, value in changes.items()}
        values |= {f":from{index}": state.value for index, state in enumerate(sources)}
        conditions = [f"#state IN ({', '.join(f':from{i}' for i in range(len(sources)))})"]
        names = {f"#{name}": name for name in (*changes, "state")}
        if transition.attempt is not None:
            names["#attempt"] = "attempt"
            values[":expected_attempt"] = transition.attempt
            conditions.append("#attempt = :expected_attempt")
        if transition.unchanged_since is not None:
            values[":unchanged_since"] = to_text(transition.unchanged_since)
            conditions.append("#updated_at <= :unchanged_since")
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in changes)
        if transition.next_attempt is not None:
            update += " REMOVE started_at"
        try:
            answer = self.client.update_item(
                TableName=self.table_name,
                Key=to_item({PARTITION_KEY: job_partition(transition.job_id)}),
                UpdateExpression=update,
                ConditionExpression=" AND ".join(conditions),
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=to_item(values),
                ReturnValues="ALL_NEW",
            )
        except self.client.exceptions.ConditionalCheckFailedException as error:
            raise TransitionRefusedError(transition.job_id, transition.target) from error
        return job_from_item(answer["Attributes"])

    def mark_dispatched(self, job_id: str, attempt: int) -> None:
        """Note that `attempt` was handed to inference; a higher number there already stays."""
        try:
            self.client.update_item(
                TableName=self.table_name,
                Key=to_item({PARTITION_KEY: job_partition(job_id)}),
                UpdateExpression="SET dispatched_attempt = :attempt",
                ConditionExpression="dispatched_attempt < :attempt",
                ExpressionAttributeValues=to_item({":attempt": attempt}),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return

    def list_by_owner(
        self, owner: str, *, limit: int, after: JobPosition | None, state: JobState | None
    ) -> tuple[list[JobRecord], JobPosition | None]:
        """At most `limit` of the owner's jobs, newest first, and where the next page starts."""
        query = self._owner_query(owner, limit, state)
        if after is not None:
            query["ExclusiveStartKey"] = _start_key(owner, after)
        jobs: list[JobRecord] = []
        for _ in range(_MAX_FILTERED_PAGES):
            page = self.client.query(**query)
            jobs += [job_from_item(item) for item in page["Items"]]
            if len(jobs) > limit:
                last = jobs[limit - 1]
                return jobs[:limit], JobPosition(last.created_at, last.id)
            if "LastEvaluatedKey" not in page:
                return jobs, None
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return jobs, _position(query["ExclusiveStartKey"])

    def list_unfinished(self, *, unchanged_since: datetime, due: datetime) -> Iterator[JobRecord]:
        """Jobs not ended, last changed at `unchanged_since` or before, with a deadline <= due."""
        pages = self.client.get_paginator("query")
        for state in _UNFINISHED:
            for page in pages.paginate(
                TableName=self.table_name,
                IndexName=self.state_index,
                KeyConditionExpression="#state = :state AND updated_at <= :unchanged_since",
                FilterExpression="deadline_at <= :due",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues=to_item(
                    {
                        ":state": state.value,
                        ":unchanged_since": to_text(unchanged_since),
                        ":due": to_text(due),
                    }
                ),
            ):
                yield from map(job_from_item, page["Items"])

    def _read(self, partition: str) -> Mapping[str, Any] | None:
        answer = self.client.get_item(
            TableName=self.table_name,
            Key=to_item({PARTITION_KEY: partition}),
            ConsistentRead=True,
        )
        return answer.get("Item")

    def _owner_query(self, owner: str, limit: int, state: JobState | None) -> dict[str, Any]:
        query: dict[str, Any] = {
            "TableName": self.table_name,
            "IndexName": self.owner_index,
            "KeyConditionExpression": "#owner = :owner",
            "ExpressionAttributeNames": {"#owner": "owner"},
            "ExpressionAttributeValues": to_item({":owner": owner}),
            "ScanIndexForward": False,
            # One more than asked for tells whether there is a next page.
            "Limit": limit + 1,
        }
        if state is not None:
            query["FilterExpression"] = "#state = :state"
            query["ExpressionAttributeNames"]["#state"] = "state"
            query["ExpressionAttributeValues"] |= to_item({":state": state.value})
        return query


def _start_key(owner: str, after: JobPosition) -> dict[str, Any]:
    return to_item(
        {
            PARTITION_KEY: job_partition(after.job_id),
            "owner": owner,
            "created_at": to_text(after.created_at),
        }
    )


def _position(key: Mapping[str, Any]) -> JobPosition:
    created_at = datetime.fromisoformat(key["created_at"]["S"])
    return JobPosition(created_at, key[PARTITION_KEY]["S"].removeprefix("job#"))


def _cancellation_reasons(error: ClientError) -> list[str]:
    reasons: Any = error.response.get("CancellationReasons", [])
    return [reason.get("Code", "") for reason in reasons]

"""From Lambda's note about table changes that it gave up on, back to those changes.

The note names no job, only where the changes stood in the stream and when they arrived, and the
stream forgets them after a day. The table does not: a job that was lost has not moved since, so
that the jobs last changed at that time are the ones, with some others that lose nothing by being
handled again.

Source: AWS Lambda developer guide, "Retaining discarded batches for a DynamoDB event source".
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from nvfp4_ddim_contracts import JobState
from nvfp4_ddim_contracts.table import PARTITION_KEY, STATE_INDEX

__all__ = ["FailedBatch", "changes_of", "stream_events"]

# The writer's clock and the stream's may differ a little.
_SKEW = timedelta(minutes=1)
_EVENT_RECORDS = 50


class _Info(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    stream_arn: str = Field(alias="streamArn")
    first: AwareDatetime = Field(alias="approximateArrivalOfFirstRecord")
    last: AwareDatetime = Field(alias="approximateArrivalOfLastRecord")


class FailedBatch(BaseModel):
    """The note: a message in the dead-letter queue of a function behind a stream."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    info: _Info = Field(alias="DDBStreamBatchInfo")


def changes_of(dynamodb: Any, table: str, batch: FailedBatch) -> Iterator[dict[str, Any]]:
    """Items of the jobs that the batch may have been about.

    Args:
        dynamodb: A client.
        table: The job table.
        batch: The note.

    Yields:
        Items in DynamoDB's low-level form. A job that has not ended may have been touched by a
        late progress report since, hence no upper bound for those.
    """
    pages = dynamodb.get_paginator("query")
    since, until = batch.info.first - _SKEW, batch.info.last + _SKEW
    for state in JobState:
        latest = until if state.is_terminal else datetime.now(UTC) + _SKEW
        for page in pages.paginate(
            TableName=table,
            IndexName=STATE_INDEX,
            KeyConditionExpression="#state = :state AND updated_at BETWEEN :since AND :until",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={
                ":state": {"S": state.value},
                ":since": {"S": _text(since)},
                ":until": {"S": _text(latest)},
            },
        ):
            yield from page["Items"]


def stream_events(items: Iterator[dict[str, Any]], batch: FailedBatch) -> Iterator[dict[str, Any]]:
    """Events as the stream would have sent them, of fifty changes at most."""
    number = 0
    while chunk := list(islice(items, _EVENT_RECORDS)):
        records = []
        for item in chunk:
            number += 1
            records.append(
                {
                    "eventID": f"redrive-{number}",
                    "eventName": "MODIFY",
                    "eventVersion": "1.1",
                    "eventSource": "aws:dynamodb",
                    "eventSourceARN": batch.info.stream_arn,
                    "dynamodb": {
                        "Keys": {PARTITION_KEY: item[PARTITION_KEY]},
                        "NewImage": item,
                        "SequenceNumber": str(number),
                        "StreamViewType": "NEW_AND_OLD_IMAGES",
                    },
                }
            )
        yield {"Records": records}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")

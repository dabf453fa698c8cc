"""Slots of open event streams in the job table: one item a caller, one attribute a slot.

An attribute holds when its lease ends, in Unix milliseconds. Who takes a slot after a lease has run
out writes a later time, so that the time itself tells whose the slot is. The item has no `state`
and no `owner`, so that it is in no index, and no function is fed with it.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lambdas.adapters.dynamodb_items import to_item
from nvfp4_ddim_contracts.table import PARTITION_KEY, streams_partition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["DynamoDBStreamSlots"]

_SLOT = re.compile(r"slot(\d+)")
# The item stays for a day after the last stream, and goes by the table's time to live.
_KEPT_SECONDS = 86_400


@dataclass(frozen=True)
class DynamoDBStreamSlots:
    """Implements `StreamSlots`."""

    client: "DynamoDBClient"
    table_name: str

    def taken(self, owner: str) -> dict[int, int]:
        """When the lease of each slot ends that was ever taken, in Unix milliseconds."""
        answer = self.client.get_item(
            TableName=self.table_name,
            Key=to_item({PARTITION_KEY: streams_partition(owner)}),
            ConsistentRead=True,
        )
        return {
            int(match[1]): int(value["N"])
            for name, value in answer.get("Item", {}).items()
            if (match := _SLOT.fullmatch(name))
        }

    def take(self, owner: str, slot: int, *, now_ms: int, until_ms: int) -> bool:
        """Take a slot that is free; whether it was."""
        try:
            self.client.update_item(
                TableName=self.table_name,
                Key=to_item({PARTITION_KEY: streams_partition(owner)}),
                UpdateExpression="SET #slot = :until, expires_at = :expires_at",
                ConditionExpression="attribute_not_exists(#slot) OR #slot <= :now",
                ExpressionAttributeNames={"#slot": f"slot{slot}"},
                ExpressionAttributeValues=to_item(
                    {
                        ":now": now_ms,
                        ":until": until_ms,
                        ":expires_at": until_ms // 1_000 + _KEPT_SECONDS,
                    }
                ),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def free(self, owner: str, slot: int, until_ms: int) -> None:
        """Give a slot back, unless another stream has it by now."""
        try:
            self.client.update_item(
                TableName=self.table_name,
                Key=to_item({PARTITION_KEY: streams_partition(owner)}),
                UpdateExpression="REMOVE #slot",
                ConditionExpression="#slot = :until",
                ExpressionAttributeNames={"#slot": f"slot{slot}"},
                ExpressionAttributeValues=to_item({":until": until_ms}),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return

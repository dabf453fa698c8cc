"""The service's stop as an item of the job table.

The functions that have to look at it may read that table already. The item has no `state` and no
`owner`, so that it is in no index, and no function is fed with it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lambdas.adapters.dynamodb_items import to_item, to_text
from lambdas.domain.records import ServiceStop
from nvfp4_ddim_contracts.table import PARTITION_KEY, STOP_PARTITION

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["DynamoDBStopFlag"]

_KEY = to_item({PARTITION_KEY: STOP_PARTITION})


@dataclass(frozen=True)
class DynamoDBStopFlag:
    """Implements `StopFlag`."""

    client: "DynamoDBClient"
    table_name: str

    def read(self) -> ServiceStop | None:
        """The stop in force, or None."""
        item = self.client.get_item(TableName=self.table_name, Key=_KEY).get("Item")
        if item is None:
            return None
        return ServiceStop.model_validate({name: value.get("S") for name, value in item.items()})

    def set(self, stop: ServiceStop) -> ServiceStop:
        """Set the flag unless it is set; the stop in force afterwards."""
        try:
            self.client.put_item(
                TableName=self.table_name,
                Item={
                    **_KEY,
                    **to_item({"reason": stop.reason, "stopped_at": to_text(stop.stopped_at)}),
                },
                ConditionExpression=f"attribute_not_exists({PARTITION_KEY})",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return self.read() or stop
        return stop

    def clear(self) -> None:
        """Remove the flag; one that is not set is no error."""
        self.client.delete_item(TableName=self.table_name, Key=_KEY)

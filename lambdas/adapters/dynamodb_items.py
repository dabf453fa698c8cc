"""Items of the job table, to and from the domain's records.

Compound values (request, images, ...) are JSON texts: DynamoDB's own maps would turn every float
into a decimal and add nothing, as no query looks inside. Times are ISO 8601 in UTC with
microseconds, so that their order as text is their order in time.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from pydantic import BaseModel

from lambdas.domain.records import IdempotencyRecord, JobRecord, Transition
from nvfp4_ddim_contracts.keys import JOB_ID_PATTERN
from nvfp4_ddim_contracts.table import PARTITION_KEY, job_partition

__all__ = [
    "Item",
    "changed_attributes",
    "idempotency_from_item",
    "idempotency_partition",
    "idempotency_to_item",
    "job_from_item",
    "job_from_stream",
    "job_to_item",
    "to_item",
    "to_text",
]

Item = Mapping[str, Any]
"""DynamoDB's low-level form: attribute name to `{"S": ...}` and the like."""

_SERIALIZER = TypeSerializer()
_DESERIALIZER = TypeDeserializer()
_JOB_PARTITION = re.compile(rf"job#({JOB_ID_PATTERN})")
_JSON_ATTRIBUTES = (
    "request",
    "attempts",
    "images",
    "report",
    "files",
    "provenance",
    "timings",
    "cost_estimate",
    "error",
)


def to_text(moment: datetime) -> str:
    """A time as the table holds it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def to_item(values: Mapping[str, str | int]) -> dict[str, Any]:
    """Plain values in DynamoDB's low-level form."""
    return {name: _SERIALIZER.serialize(value) for name, value in values.items()}


def job_to_item(job: JobRecord) -> dict[str, Any]:
    """The item of a job."""
    values: dict[str, str | int] = {PARTITION_KEY: job_partition(job.id)}
    for name in JobRecord.model_fields:
        if name != "id" and (value := getattr(job, name)) is not None and value != ():
            values[name] = _plain(value)
    return to_item(values)


def job_from_item(item: Item) -> JobRecord:
    """The job of an item.

    Raises:
        pydantic.ValidationError: It is not a job's item.
    """
    values = {name: _DESERIALIZER.deserialize(value) for name, value in item.items()}
    values["id"] = _job_id(values[PARTITION_KEY])
    for name in _JSON_ATTRIBUTES:
        if name in values:
            values[name] = json.loads(values[name])
    return JobRecord.model_validate(values)


def job_from_stream(record: Mapping[str, Any]) -> JobRecord | None:
    """The new image of a stream record, or None if it is a deletion or no job's.

    Args:
        record: One entry of a stream event's `Records`, in the view NEW_AND_OLD_IMAGES.
    """
    image: Item | None = record["dynamodb"].get("NewImage")
    if not image or _job_id(image[PARTITION_KEY]["S"]) is None:
        return None
    return job_from_item(image)


def changed_attributes(transition: Transition) -> dict[str, str | int]:
    """The attributes that a transition sets."""
    changes = {
        "state": transition.target,
        "updated_at": transition.at,
        "attempt": transition.next_attempt,
        "attempts": transition.attempts,
        "step": transition.step,
        "images": transition.images,
        "report": transition.report,
        "files": transition.files,
        "provenance": transition.provenance,
        "timings": transition.timings,
        "cost_estimate": transition.cost_estimate,
        "error": transition.error,
    }
    return {name: _plain(value) for name, value in changes.items() if value is not None}


def idempotency_partition(owner: str, key: str) -> str:
    """Partition key of an idempotency record."""
    return f"idempotency#{owner}#{key}"


def idempotency_to_item(record: IdempotencyRecord) -> dict[str, Any]:
    """The item of an idempotency record.

    It has no `owner` attribute: that would put it into the index of an owner's jobs.
    """
    return to_item(
        {
            PARTITION_KEY: idempotency_partition(record.owner, record.key),
            "request_sha256": record.request_sha256,
            "job_id": record.job_id,
            "expires_at": record.expires_at,
        }
    )


def idempotency_from_item(owner: str, key: str, item: Item) -> IdempotencyRecord:
    """The idempotency record of an item."""
    values = {name: _DESERIALIZER.deserialize(value) for name, value in item.items()}
    return IdempotencyRecord.model_validate({**values, "owner": owner, "key": key})


def _plain(value: Any) -> str | int:
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, tuple):
        models: tuple[BaseModel, ...] = value
        return json.dumps([model.model_dump(mode="json") for model in models])
    if isinstance(value, datetime):
        return to_text(value)
    return value if isinstance(value, int) else str(value)


def _job_id(partition: str) -> str | None:
    match = _JOB_PARTITION.fullmatch(partition)
    return match.group(1) if match else None

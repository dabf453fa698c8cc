"""What SageMaker publishes to SNS at the end of an asynchronous inference.

Source: Amazon SageMaker developer guide, "Check prediction results".
"""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.settings import REGION

__all__ = ["AsyncInvocation", "Outcome", "notification"]

_MAX_INCLUDED_BYTES = 128 * 1024


@dataclass(frozen=True)
class AsyncInvocation:
    """One accepted `InvokeEndpointAsync`."""

    inference_id: str
    input_location: str
    output_location: str
    failure_location: str
    content_type: str
    accept: str
    custom_attributes: str
    timeout_seconds: float
    expires_at: float
    received_at: datetime


@dataclass(frozen=True)
class Outcome:
    """What the container answered: `failure_reason` is None for a good answer."""

    body: bytes
    content_type: str
    failure_reason: str | None = None


def notification(
    endpoint_name: str, invocation: AsyncInvocation, outcome: Outcome, include_response: bool
) -> dict[str, Any]:
    """The message's JSON document."""
    failed = outcome.failure_reason is not None
    message: dict[str, Any] = {
        "awsRegion": REGION,
        "eventTime": _timestamp(datetime.now(UTC)),
        "receivedTime": _timestamp(invocation.received_at),
        "invocationStatus": "Failed" if failed else "Completed",
        "requestParameters": {
            "accept": invocation.accept,
            "contentType": invocation.content_type,
            "customAttributes": invocation.custom_attributes,
            "endpointName": endpoint_name,
            "inputLocation": invocation.input_location,
        },
        "inferenceId": invocation.inference_id,
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    if failed:
        message["failureReason"] = outcome.failure_reason
    has_object = not failed or bool(outcome.body)
    if has_object:
        location = invocation.failure_location if failed else invocation.output_location
        message["responseParameters"] = {
            "contentType": outcome.content_type,
            "outputLocation": location,
        }
    if include_response and has_object and len(outcome.body) <= _MAX_INCLUDED_BYTES:
        message["responseBody"] = {
            "content": base64.b64encode(outcome.body).decode(),
            "encoding": "BASE64",
        }
    return message


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"

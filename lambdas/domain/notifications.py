"""What SageMaker's asynchronous inference publishes to SNS when an inference ends.

Source: Amazon SageMaker developer guide, "Check prediction results"; only the fields used here
are named, and others are ignored. `responseBody` comes only where the endpoint's
`IncludeInferenceResponseIn` asks for it, for answers of at most 128 KB. The other lanes publish the
same (`nvfp4_ddim_contracts.lanes`); a function that failed is reported by Lambda itself.

Source: AWS Lambda developer guide, "Capturing records of Lambda asynchronous invocations".
"""

import base64
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from nvfp4_ddim_contracts.keys import ASYNC_INPUT_PREFIX, JOB_ID_PATTERN
from nvfp4_ddim_contracts.lanes import InferenceTask

from .errors import NotificationError

__all__ = ["InferenceNotification", "parse_notification"]

_INPUT_URI = re.compile(
    rf"s3://[^/]+/{re.escape(ASYNC_INPUT_PREFIX)}({JOB_ID_PATTERN})/([1-9]\d{{0,3}})\.json"
)


@dataclass(frozen=True)
class InferenceNotification:
    """The end of one attempt at one job.

    `location` is the `s3://` URI of the answer, or of the container's error where there is one;
    `body` is the error itself, where the notification carries it. `finished_at` is when inference
    ended, where that is told.
    """

    job_id: str
    attempt: int
    succeeded: bool
    location: str | None
    reason: str
    body: bytes | None
    finished_at: datetime | None = None


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _RequestParameters(_Part):
    input_location: str = Field(alias="inputLocation")


class _ResponseParameters(_Part):
    output_location: str | None = Field(None, alias="outputLocation")


class _ResponseBody(_Part):
    content: str = ""
    encoding: str = ""


class _Message(_Part):
    event_name: Literal["InferenceResult"] = Field(alias="eventName")
    status: Literal["Completed", "Failed"] = Field(alias="invocationStatus")
    failure_reason: str = Field("", alias="failureReason")
    event_time: AwareDatetime | None = Field(None, alias="eventTime")
    request: _RequestParameters = Field(alias="requestParameters")
    response: _ResponseParameters = Field(_ResponseParameters(), alias="responseParameters")
    response_body: _ResponseBody | None = Field(None, alias="responseBody")


class _FunctionError(_Part):
    error_type: str = Field("", alias="errorType")


class _RequestContext(_Part):
    condition: str


class _FunctionFailure(_Part):
    """What Lambda says of an asynchronous invocation that raised, crashed or ran out of time."""

    context: _RequestContext = Field(alias="requestContext")
    task: InferenceTask = Field(alias="requestPayload")
    error: _FunctionError | None = Field(None, alias="responsePayload")


class _SnsEnvelope(_Part):
    type: Literal["Notification"] = Field(alias="Type")
    message: str = Field(alias="Message")


def parse_notification(body: str) -> InferenceNotification:
    """Read the body of an SQS message: an SNS envelope, or with raw delivery what is inside.

    Raises:
        NotificationError: It is neither, or not about one of our jobs.
    """
    text = _unwrap(body)
    if failure := _function_failure(text):
        return failure
    try:
        message = _Message.model_validate_json(text)
    except ValidationError as error:
        raise NotificationError(f"Not a notification of inference: {error}") from error
    match = _INPUT_URI.fullmatch(message.request.input_location)
    if match is None:
        raise NotificationError("The notification's inputLocation is not one of our jobs.")
    return InferenceNotification(
        job_id=match.group(1),
        attempt=int(match.group(2)),
        succeeded=message.status == "Completed",
        location=message.response.output_location,
        reason=message.failure_reason,
        body=_content(message.response_body),
        finished_at=message.event_time,
    )


def _function_failure(text: str) -> InferenceNotification | None:
    try:
        failure = _FunctionFailure.model_validate_json(text)
    except ValidationError:
        return None
    kind = failure.error.error_type if failure.error else ""
    return InferenceNotification(
        job_id=failure.task.job_id,
        attempt=failure.task.attempt,
        succeeded=False,
        location=None,
        reason=": ".join(part for part in (failure.context.condition, kind) if part),
        body=None,
    )


def _unwrap(body: str) -> str:
    try:
        return _SnsEnvelope.model_validate_json(body).message
    except ValidationError:
        return body


def _content(body: _ResponseBody | None) -> bytes | None:
    if body is None or not body.content:
        return None
    if body.encoding.upper() == "BASE64":
        try:
            return base64.b64decode(body.content, validate=True)
        except ValueError:
            return None
    return body.content.encode()

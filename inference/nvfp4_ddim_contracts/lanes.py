"""Lanes: the ways a stage can run a job, what each can take, and what travels along them.

Every lane reads a request from S3, writes the container's answer to S3 and publishes the message
that SageMaker's asynchronous inference publishes, so that what follows is one path for all.
"""

import base64
import re
from enum import StrEnum
from typing import Any

from pydantic import Field

from ._base import Contract
from .keys import (
    ASYNC_FAILURE_PREFIX,
    ASYNC_INPUT_PREFIX,
    ASYNC_OUTPUT_PREFIX,
    JOB_ID_PATTERN,
    job_attributes,
)

__all__ = [
    "ASYNC_INVOCATION_SECONDS",
    "InferenceTask",
    "Lane",
    "LaneOffer",
    "LaneOffers",
    "LaneWish",
    "inference_message",
]

ASYNC_INVOCATION_SECONDS = 3_600
"""What an invocation of the asynchronous lane may take: the most that SageMaker gives."""

_INPUT_URI = re.compile(
    rf"s3://(?P<bucket>[^/]+)/(?P<key>{re.escape(ASYNC_INPUT_PREFIX)}"
    rf"(?P<job_id>{JOB_ID_PATTERN})/(?P<attempt>[1-9]\d{{0,3}})\.json)"
)
_MAX_INCLUDED_BYTES = 128 * 1024


class Lane(StrEnum):
    """A way to run a job."""

    ASYNC = "async"
    LAMBDA = "lambda"
    REALTIME = "realtime"
    SERVERLESS = "serverless"


class LaneWish(StrEnum):
    """The lane that a caller asks for; `auto` leaves the choice to the service."""

    AUTO = "auto"
    ASYNC = "async"
    LAMBDA = "lambda"
    REALTIME = "realtime"
    SERVERLESS = "serverless"


class LaneOffer(Contract):
    """A lane that a stage has, and the most that it takes; None is without a limit."""

    lane: Lane
    automatic: bool = Field(
        True, description="Whether jobs get it without asking; else only those that name it."
    )
    max_model_bytes: int | None = Field(None, ge=1, description="Size of the model's artifact.")
    max_pixel_steps: int | None = Field(
        None, ge=1, description="Width x height x steps x pictures that end within its time."
    )
    max_pixels: int | None = Field(
        None, ge=1, description="Width x height x pictures whose answer fits through it."
    )


class LaneOffers(Contract):
    """All lanes of a stage."""

    lanes: tuple[LaneOffer, ...] = (LaneOffer(lane=Lane.ASYNC),)


class InferenceTask(Contract):
    """The event of a function that carries out one attempt at a job."""

    input_uri: str = Field(pattern=rf"^{_INPUT_URI.pattern}$", description="The request in S3.")

    @property
    def job_id(self) -> str:
        """The job."""
        return self._part("job_id")

    @property
    def attempt(self) -> int:
        """Counts from 1."""
        return int(self._part("attempt"))

    @property
    def bucket(self) -> str:
        """The bucket that the request lies in, and that the answer goes to."""
        return self._part("bucket")

    @property
    def input_key(self) -> str:
        """Key of the request."""
        return self._part("key")

    def answer_key(self, *, failed: bool) -> str:
        """Key of the container's answer; the same for a repetition, which answers the same."""
        prefix = ASYNC_FAILURE_PREFIX if failed else ASYNC_OUTPUT_PREFIX
        return f"{prefix}{self.job_id}-{self.attempt}.json"

    def _part(self, name: str) -> str:
        match = _INPUT_URI.fullmatch(self.input_uri)
        return match[name] if match else ""  # never the latter: it is the field's own pattern


def inference_message(task: InferenceTask, source: str, status: int, body: bytes) -> dict[str, Any]:
    """What to publish once the answer lies at `task.answer_key`.

    Args:
        task: The task.
        source: Who carried it out, such as a function's name.
        status: The container's HTTP status.
        body: Its answer; included for a failure, if it is small enough.

    Source: Amazon SageMaker developer guide, "Check prediction results".
    """
    failed = status >= 400
    message: dict[str, Any] = {
        "eventName": "InferenceResult",
        "eventVersion": "1.0",
        "eventSource": source,
        "invocationStatus": "Failed" if failed else "Completed",
        "inferenceId": task.job_id,
        "requestParameters": {
            "customAttributes": job_attributes(task.job_id),
            "inputLocation": task.input_uri,
        },
        "responseParameters": {
            "contentType": "application/json",
            "outputLocation": f"s3://{task.bucket}/{task.answer_key(failed=failed)}",
        },
    }
    if failed:
        message["failureReason"] = f"The container answered with an error ({status})."
        if len(body) <= _MAX_INCLUDED_BYTES:
            content = base64.b64encode(body).decode()
            message["responseBody"] = {"content": content, "encoding": "BASE64"}
    return message

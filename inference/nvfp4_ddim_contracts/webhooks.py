"""Telling a caller's program that a job has ended, in the form of Standard Webhooks 1.0.

A POST to the job's `webhook_url` with a `JobEvent` as its body and three headers. The receiver
computes the signature anew, compares it in constant time, and refuses old timestamps:

    signature = "v1," + base64(HMAC-SHA256(secret, "{id}.{timestamp}.{body}"))

The secret is the base64 after `whsec_` in the answer of `GET /v1/webhooks/secret`.

Source: https://github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
"""

from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, RootModel, StringConstraints, create_model

from ._base import Contract
from .jobs import Job, JobState
from .lanes import LaneWish
from .requests import AnyRequest, ByTask, request_in, request_type

__all__ = [
    "MAX_WEBHOOK_URL_CHARACTERS",
    "WEBHOOK_ID_HEADER",
    "WEBHOOK_SIGNATURE_HEADER",
    "WEBHOOK_TIMESTAMP_HEADER",
    "JobEvent",
    "JobEventType",
    "JobOptions",
    "JobRequest",
    "WebhookSecret",
    "WebhookUrl",
]

MAX_WEBHOOK_URL_CHARACTERS = 2_000
WEBHOOK_ID_HEADER = "webhook-id"
WEBHOOK_TIMESTAMP_HEADER = "webhook-timestamp"
WEBHOOK_SIGNATURE_HEADER = "webhook-signature"
_OWN_MACHINE = frozenset({"localhost", "127.0.0.1"})


def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from error
    plain_and_local = parts.scheme == "http" and parts.hostname in _OWN_MACHINE
    if not parts.hostname or not (parts.scheme == "https" or plain_and_local):
        raise ValueError("a webhook's URL starts with https:// and names a host")
    if parts.username is not None or parts.fragment:
        raise ValueError("a webhook's URL has neither credentials nor a fragment")
    return url


WebhookUrl = Annotated[
    str,
    StringConstraints(max_length=MAX_WEBHOOK_URL_CHARACTERS, pattern=r"^[\x21-\x7e]+$"),
    AfterValidator(_check_url),
]


class JobOptions(Contract):
    """What a request says that is the service's business and not the container's."""

    lane: LaneWish = Field(
        LaneWish.AUTO,
        description="How the job is run; auto chooses by the model's size, the work, and whether "
        "the caller waits. The job says what was chosen.",
    )
    webhook_url: WebhookUrl | None = Field(
        None,
        description="Gets a signed POST when the job has ended: see GET /v1/webhooks/secret.",
    )


@cache
def _with_options(request: type[Contract]) -> type[Contract]:
    name = f"{request.__name__.removesuffix('Request')}JobRequest"
    return create_model(name, __base__=(JobOptions, request), __doc__=request.__doc__)


if TYPE_CHECKING:
    _AnyJob: TypeAlias = JobOptions
else:
    _AnyJob = Annotated[Any, ByTask(lambda task: _with_options(request_type(task)))]


class JobRequest(RootModel[_AnyJob]):
    """The body of `POST /v1/jobs`: a request of any task, by which lane, and whom to tell.

    Without `task` it asks for a picture.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    def __init__(self, /, root: Any = None, **fields: Any) -> None:
        """Read a request, given as one value or field by field.

        Raises:
            pydantic.ValidationError: It fits no task.
        """
        super().__init__(root=fields if root is None else root)

    @property
    def lane(self) -> LaneWish:
        """How the job is to be run."""
        return self.root.lane

    @property
    def webhook_url(self) -> str | None:
        """Whom to tell of its end."""
        return self.root.webhook_url

    @property
    def request(self) -> AnyRequest:
        """What the container needs to know."""
        return request_in(self.root)


class JobEventType(StrEnum):
    """How a job has ended."""

    SUCCEEDED = "job.succeeded"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"
    EXPIRED = "job.expired"

    @classmethod
    def of(cls, state: JobState) -> "JobEventType":
        """The event of a state.

        Raises:
            ValueError: A job in this state has not ended.
        """
        return cls(f"job.{state}")


class JobEvent(Contract):
    """The body of a webhook call."""

    type: JobEventType
    timestamp: datetime = Field(description="When the job ended, UTC.")
    data: Job = Field(description="The job as GET /v1/jobs/{id} shows it; its links are fresh.")


class WebhookSecret(Contract):
    """What the caller's webhook calls are signed with."""

    secret: str = Field(pattern=r"^whsec_[A-Za-z0-9+/]+=*$")

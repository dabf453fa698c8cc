"""What the job table holds: models of their own, apart from what callers see.

Unknown attributes are ignored, so that two versions of the service can run side by side while
one replaces the other.
"""

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue

from nvfp4_ddim_contracts import (
    AnyRequest,
    CostEstimate,
    ImageFormat,
    JobState,
    Lane,
    Problem,
    Provenance,
    Timings,
)
from nvfp4_ddim_contracts.tasks import TaskProvenance

__all__ = [
    "IdempotencyRecord",
    "JobPosition",
    "JobRecord",
    "ServiceStop",
    "StoredAttempt",
    "StoredFile",
    "StoredImage",
    "StoredUpload",
    "Transition",
    "UploadForm",
    "WebhookMessage",
]


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class StoredImage(_Stored):
    """A finished picture in the results bucket."""

    key: str
    seed: int
    width: int
    height: int
    image_format: ImageFormat


class StoredFile(_Stored):
    """A file that a task has made, in the results bucket."""

    name: str
    key: str
    media_type: str
    bytes: int
    sha256: str


class StoredAttempt(_Stored):
    """An attempt that was lost."""

    number: int
    started_at: datetime | None = None
    finished_at: datetime


class JobRecord(_Stored):
    """A job. Times are UTC; `expires_at` is Unix seconds, as DynamoDB's TTL wants it.

    `attempt` counts from 1; `attempts` are those that were lost before it, and `started_at` is its
    own. `dispatched_attempt` is the last one handed to inference, 0 at first; `held_attempt` is the
    one that waits for a stopped service to go on, if there is one.
    """

    id: str
    owner: str
    state: JobState
    request: AnyRequest
    step: int = 0
    total_steps: int
    lane: Lane = Lane.ASYNC
    attempt: int = 1
    attempts: tuple[StoredAttempt, ...] = ()
    started_at: datetime | None = None
    dispatched_attempt: int = 0
    held_attempt: int | None = None
    created_at: datetime
    updated_at: datetime
    deadline_at: datetime
    expires_at: int
    images: tuple[StoredImage, ...] = ()
    report: dict[str, JsonValue] | None = None
    files: tuple[StoredFile, ...] = ()
    provenance: Provenance | TaskProvenance | None = None
    timings: Timings | None = None
    cost_estimate: CostEstimate | None = None
    error: Problem | None = None
    webhook_url: str | None = None

    @property
    def needs_dispatch(self) -> bool:
        """Whether the current attempt has not been handed to inference.

        A late progress report of a lost attempt may have made the job `running` again before the
        next attempt was dispatched, hence not only `queued`. One that is held is dispatched once it
        was released.
        """
        waits = self.held_attempt == self.attempt
        return not self.state.is_terminal and not waits and self.dispatched_attempt < self.attempt


class IdempotencyRecord(_Stored):
    """What a caller's Idempotency-Key stands for until `expires_at`, Unix seconds."""

    owner: str
    key: str
    request_sha256: str
    job_id: str
    expires_at: int


class WebhookMessage(_Stored):
    """In the queue of webhook calls: the job that has ended."""

    job_id: str


class ServiceStop(_Stored):
    """Why the service accepts no new jobs, and since when, UTC."""

    reason: str
    stopped_at: datetime


@dataclass(frozen=True)
class UploadForm:
    """Where a form is sent, and the fields that come before the file."""

    url: str
    fields: dict[str, str]


@dataclass(frozen=True)
class StoredUpload:
    """A file that a caller has uploaded."""

    key: str
    content_type: str
    size_bytes: int


@dataclass(frozen=True)
class JobPosition:
    """Where a page of an owner's jobs ends."""

    created_at: datetime
    job_id: str


@dataclass(frozen=True)
class Transition:
    """A conditional change of one job. Fields that are None stay as they are.

    The store writes it only while the job is in a state from which `target` is legal and, where
    given, while its attempt is `attempt` and its last change is not after `unchanged_since`. With
    `next_attempt` it forgets `started_at`, which was the lost attempt's.
    """

    job_id: str
    target: JobState
    at: datetime
    attempt: int | None = None
    unchanged_since: datetime | None = None
    next_attempt: int | None = None
    attempts: tuple[StoredAttempt, ...] | None = None
    step: int | None = None
    images: tuple[StoredImage, ...] | None = None
    report: dict[str, JsonValue] | None = None
    files: tuple[StoredFile, ...] | None = None
    provenance: Provenance | TaskProvenance | None = None
    timings: Timings | None = None
    cost_estimate: CostEstimate | None = None
    error: Problem | None = None

"""A job's life as a caller sees it, and which changes of state are legal.

    queued -> running -> succeeded
       |         |-----> failed, cancelled, expired
       |         '-----> queued            (the attempt was lost and is tried again)
       '---------------> succeeded, failed, cancelled, expired

An attempt may end before its first progress report arrives, hence `queued -> succeeded`; it may
also be lost before it, hence `queued -> queued` with the next attempt's number.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import Field, JsonValue

from ._base import Contract
from .generation import Provenance, Timings
from .lanes import Lane
from .pricing import CostEstimate
from .problems import Problem
from .requests import GENERATE, AnyRequest
from .tasks import TaskProvenance

__all__ = [
    "LEGAL_TRANSITIONS",
    "Job",
    "JobAttempt",
    "JobFile",
    "JobImage",
    "JobPage",
    "JobProgress",
    "JobState",
    "is_legal",
    "sources_of",
]


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can change any more."""
        return not LEGAL_TRANSITIONS[self]


_ENDS = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED})
LEGAL_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: _ENDS | {JobState.QUEUED, JobState.RUNNING},
    JobState.RUNNING: _ENDS | {JobState.QUEUED, JobState.RUNNING},
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.EXPIRED: frozenset(),
}


def is_legal(source: JobState, target: JobState) -> bool:
    """Whether a job may go from `source` to `target`."""
    return target in LEGAL_TRANSITIONS[source]


def sources_of(target: JobState) -> tuple[JobState, ...]:
    """The states from which `target` can be reached, for conditional writes."""
    return tuple(state for state in JobState if is_legal(state, target))


class JobProgress(Contract):
    """How far the sampler is."""

    step: int = Field(0, ge=0)
    total_steps: int = Field(ge=1)


class JobAttempt(Contract):
    """One attempt at a job. Times are UTC, as far as they are known."""

    number: int = Field(ge=1)
    started_at: datetime | None = Field(
        None, description="When the container reported its first step."
    )
    finished_at: datetime | None = Field(
        None, description="When the attempt's end was recorded, or the job was ended."
    )


class JobImage(Contract):
    """A finished picture and a signed link to it that works until `expires_at`."""

    url: str
    seed: int
    width: int
    height: int
    expires_at: datetime


class JobFile(Contract):
    """A file of a finished task and a signed link to it that works until `expires_at`."""

    name: str = Field(description="Such as mask.png; report.json is always among them.")
    media_type: str
    url: str
    bytes: int = Field(ge=0)
    sha256: str
    expires_at: datetime


class Job(Contract):
    """A job as `GET /v1/jobs/{id}` shows it. Times are UTC."""

    id: str
    state: JobState
    task: str = Field(GENERATE, description="What the request asks for.")
    request: AnyRequest = Field(description="Files that came inside it are named by upload ids.")
    progress: JobProgress
    lane: Lane = Field(Lane.ASYNC, description="How the job is run.")
    attempt: int = Field(1, ge=1, description="The number of the latest attempt.")
    attempts: tuple[JobAttempt, ...] = Field((), description="All of them, the latest last.")
    created_at: datetime
    updated_at: datetime
    images: tuple[JobImage, ...] = Field((), description="Of a job that paints.")
    report: dict[str, JsonValue] | None = Field(
        None,
        description="The finished task's own report. Null in lists, and where it is very long: it "
        "is among the files, too.",
    )
    files: tuple[JobFile, ...] = Field((), description="Of any other task.")
    provenance: Provenance | TaskProvenance | None = None
    timings: Timings | None = None
    cost_estimate: CostEstimate | None = Field(
        None,
        description="Of the attempt that succeeded; null before that, and where no price is known.",
    )
    error: Problem | None = None
    webhook_url: str | None = None


class JobPage(Contract):
    """One page of the caller's jobs, newest first."""

    jobs: tuple[Job, ...]
    next_cursor: str | None = Field(None, description="Pass as `cursor` to get the next page.")

"""What happens to a job, as it happens: read from the job table until there is something to tell.

The id of an event is what the caller knows after it: attempt, state and step. So a caller who comes
back with the last id goes on from there, and nothing has to be remembered between two streams.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from nvfp4_ddim_contracts import Job, JobState

from .errors import JobNotFoundError
from .jobs import JobService
from .ports import Clock
from .presenting import JobPresenter
from .records import JobRecord
from .stream_limits import StreamLease, StreamLimiter

__all__ = ["HEARTBEAT_SECONDS", "JobChange", "JobEventName", "JobWatcher"]

HEARTBEAT_SECONDS = 15.0
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 1.0
_PAUSE_GROWTH = 1.3
_EVENT_ID = re.compile(r"(\d{1,9})-([a-z]+)-(\d{1,9})")


class JobEventName(StrEnum):
    """Kinds of events."""

    STATE = "state"
    """The job is in another state, or in another attempt."""
    PROGRESS = "progress"
    """The sampler is further on."""
    DONE = "done"
    """The job has ended; no other event follows."""


@dataclass(frozen=True)
class JobChange:
    """One event: its id, its name and the job after it."""

    id: str
    name: JobEventName
    job: Job


@dataclass(frozen=True)
class _Seen:
    """What a caller knows of a job."""

    attempt: int
    state: JobState
    step: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.state}-{self.step}"

    @classmethod
    def of(cls, job: JobRecord) -> "_Seen":
        return cls(job.attempt, job.state, job.step)

    @classmethod
    def parse(cls, event_id: str) -> "_Seen | None":
        match = _EVENT_ID.fullmatch(event_id)
        if match is None or match.group(2) not in list(JobState):
            return None
        return cls(int(match.group(1)), JobState(match.group(2)), int(match.group(3)))


@dataclass(frozen=True)
class JobWatcher:
    """Follows a caller's own job."""

    jobs: JobService
    presenter: JobPresenter
    clock: Clock
    limiter: StreamLimiter

    def watch(
        self, owner: str, job_id: str, last_event_id: str | None, seconds: float
    ) -> Iterator[JobChange | None] | None:
        """Changes of a job until it ends, for at most `seconds`.

        Args:
            owner: The caller.
            job_id: The job.
            last_event_id: The id of the last event that the caller got, or None. One that is not
                ours counts as none.
            seconds: How long to follow; the caller comes back for more.

        Returns:
            Changes as they happen, the present state first unless the caller knows it; None where
            nothing has happened for `HEARTBEAT_SECONDS`. No iterator at all for a job whose end
            the caller knows already.

        Raises:
            JobNotFoundError: There is no such job, or it is another caller's.
            TooManyStreamsError: The caller follows as many jobs as one may at a time.
        """
        job = self.jobs.get(owner, job_id)
        seen = _Seen.parse(last_event_id) if last_event_id else None
        if job.state.is_terminal and seen == _Seen.of(job):
            return None
        lease = self.limiter.enter(owner, seconds)
        return self._leased(lease, self._changes(job, seen, self.clock.monotonic() + seconds))

    def _leased(
        self, lease: StreamLease, changes: Iterator[JobChange | None]
    ) -> Iterator[JobChange | None]:
        try:
            yield from changes
        finally:
            self.limiter.leave(lease)

    def _changes(
        self, job: JobRecord, seen: _Seen | None, end: float
    ) -> Iterator[JobChange | None]:
        pause = _FIRST_PAUSE_SECONDS
        spoken = self.clock.monotonic()
        while True:
            now = _Seen.of(job)
            if now != seen:
                yield JobChange(str(now), _name(seen, now), self.presenter.present(job))
                if now.state.is_terminal:
                    return
                seen, pause, spoken = now, _FIRST_PAUSE_SECONDS, self.clock.monotonic()
            elif self.clock.monotonic() - spoken >= HEARTBEAT_SECONDS:
                yield None
                spoken = self.clock.monotonic()
            left = end - self.clock.monotonic()
            if left <= 0:
                return
            self.clock.sleep(min(pause, left))
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)
            try:
                job = self.jobs.get(job.owner, job.id)
            except JobNotFoundError:
                return  # deleted meanwhile; a caller who comes back is told so


def _name(seen: _Seen | None, now: _Seen) -> JobEventName:
    if now.state.is_terminal:
        return JobEventName.DONE
    if seen is not None and (seen.attempt, seen.state) == (now.attempt, now.state):
        return JobEventName.PROGRESS
    return JobEventName.STATE

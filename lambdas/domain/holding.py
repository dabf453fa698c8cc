"""Jobs that wait while the service is stopped, and their way on.

A job that was accepted before a stop is not begun after it: who would hand it to a lane, or the
lane's own function, notes in the job table that this attempt waits. Nothing else happens to it: it
can be read and cancelled, and its deadline goes on. Afterwards the note is taken off, and the
attempt is dispatched as if it had never been.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from .records import JobRecord

__all__ = ["HeldJobs", "JobReleaser"]


class HeldJobs(Protocol):
    """Jobs whose attempt waits while the service is stopped."""

    def hold(self, job_id: str, attempt: int) -> bool:
        """Note that an attempt waits; whether it is still wanted and was not noted before."""
        ...

    def all(self) -> Iterator[JobRecord]:
        """Jobs whose attempt waits."""
        ...

    def release(self, job_id: str, attempt: int) -> bool:
        """Let an attempt be dispatched anew; whether it waited and is still wanted."""
        ...


@dataclass(frozen=True)
class JobReleaser:
    """Lets jobs go on that waited."""

    held: HeldJobs

    def release(self) -> int:
        """Dispatch what waits; a repetition, or two at a time, dispatch nothing twice.

        Returns:
            How many jobs go on.
        """
        return sum(self.held.release(job.id, job.attempt) for job in self.held.all())

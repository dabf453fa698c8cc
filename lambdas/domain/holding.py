"""Jobs that wait while the service is stopped, and their way on.

A job that was accepted before a stop is not begun after it: who would hand it to a lane, or the
lane's own function, notes in the job table that this attempt waits. Nothing else happens to it: it
can be read and cancelled, and its deadline goes on. Afterwards the note is taken off, and the
attempt is dispatched as if it had never been.
"""

from dataclasses import dataclass

from .ports import HeldJobs

__all__ = ["JobReleaser"]


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

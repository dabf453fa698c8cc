"""Ending jobs that nothing will end any more, and letting those go on that waited for no reason."""

from dataclasses import dataclass
from datetime import timedelta

from nvfp4_ddim_contracts import JobState, Problem, ProblemType

from .errors import TransitionRefusedError
from .holding import JobReleaser
from .ports import Clock, JobStore
from .records import Transition
from .stopping import ServiceGate

__all__ = ["JobSweeper"]

# A job that still reports progress is let finish, late as it is.
_QUIET = timedelta(minutes=5)


@dataclass(frozen=True)
class JobSweeper:
    """Expires overdue jobs, and sees to it that none waits for a stop that is over."""

    jobs: JobStore
    clock: Clock
    gate: ServiceGate
    releaser: JobReleaser

    def sweep(self) -> int:
        """Expire jobs whose deadline has passed and that have not moved for five minutes.

        Returns:
            How many were expired.
        """
        now = self.clock.now()
        expired = 0
        for job in self.jobs.list_unfinished(unchanged_since=now - _QUIET, due=now):
            problem = Problem(
                type=ProblemType.TIMED_OUT,
                title="The job took too long",
                status=504,
                detail=f"The job did not end before its deadline, {job.deadline_at.isoformat()}.",
                instance=job.id,
            )
            try:
                self.jobs.apply(
                    Transition(
                        job_id=job.id,
                        target=JobState.EXPIRED,
                        at=now,
                        unchanged_since=now - _QUIET,
                        error=problem,
                    )
                )
            except TransitionRefusedError:
                continue  # It moved or ended since it was listed.
            expired += 1
        return expired

    def release(self) -> int:
        """Let jobs go on that a stop held, once it is over.

        Who resumes does so, too; this is for what was interrupted, or held just afterwards.

        Returns:
            How many go on.
        """
        return self.releaser.release() if self.gate.is_open() else 0

"""Reading, awaiting, listing and cancelling jobs, each only for the caller who made them."""

from dataclasses import dataclass

from nvfp4_ddim_contracts import JobState

from .cursors import decode_cursor, encode_cursor
from .errors import JobEndedError, JobNotFoundError, TransitionRefusedError
from .ports import Clock, JobStore
from .records import JobRecord, Transition

__all__ = ["MAX_WAIT_SECONDS", "JobService"]

# API Gateway gives up after 29 s; what is left is for a cold start and the answer's way back.
MAX_WAIT_SECONDS = 25.0
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 1.0
_PAUSE_GROWTH = 1.4


@dataclass(frozen=True)
class JobService:
    """A caller's own jobs."""

    jobs: JobStore
    clock: Clock

    def get(self, owner: str, job_id: str) -> JobRecord:
        """One job.

        Raises:
            JobNotFoundError: There is none, or it is another caller's.
        """
        job = self.jobs.get(job_id)
        if job is None or job.owner != owner:
            raise JobNotFoundError(job_id)
        return job

    def wait(self, job: JobRecord, seconds: float) -> JobRecord:
        """Read the job until it ended, for at most `seconds`.

        Args:
            job: The job as last seen.
            seconds: How long; capped at `MAX_WAIT_SECONDS`.

        Returns:
            The job as last read, ended or not.

        Raises:
            JobNotFoundError: It was deleted meanwhile.
        """
        end = self.clock.monotonic() + min(seconds, MAX_WAIT_SECONDS)
        pause = _FIRST_PAUSE_SECONDS
        while not job.state.is_terminal:
            left = end - self.clock.monotonic()
            if left <= 0:
                break
            self.clock.sleep(min(pause, left))
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)
            job = self.get(job.owner, job.id)
        return job

    def list_jobs(
        self, owner: str, *, limit: int, cursor: str | None, state: JobState | None
    ) -> tuple[list[JobRecord], str | None]:
        """A page of the caller's jobs, newest first.

        Returns:
            The jobs, and the next page's cursor or None.

        Raises:
            InvalidCursorError: The cursor is not one of ours.
        """
        after = decode_cursor(cursor) if cursor is not None else None
        jobs, position = self.jobs.list_by_owner(owner, limit=limit, after=after, state=state)
        return jobs, encode_cursor(position) if position else None

    def cancel(self, owner: str, job_id: str) -> JobRecord:
        """Cancel a job; one that is cancelled already stays so.

        The container notices at its next progress report and stops.

        Raises:
            JobNotFoundError: There is none, or it is another caller's.
            JobEndedError: It ended in another way.
        """
        job = self.get(owner, job_id)
        if not job.state.is_terminal:
            try:
                return self.jobs.apply(
                    Transition(job_id=job_id, target=JobState.CANCELLED, at=self.clock.now())
                )
            except TransitionRefusedError:
                job = self.get(owner, job_id)
        if job.state is not JobState.CANCELLED:
            raise JobEndedError(job_id, job.state)
        return job

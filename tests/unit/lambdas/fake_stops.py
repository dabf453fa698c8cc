"""Fakes of the ports behind stops and open streams: in memory."""

from collections.abc import Iterator
from typing import Any

from lambdas.domain.records import JobRecord, ServiceStop
from nvfp4_ddim_contracts import JobState

__all__ = ["FakeCapacity", "FakeHeldJobs", "FakeSlots", "FakeStopFlag"]


class FakeHeldJobs:
    """Keeps the notes in jobs, by their ids."""

    def __init__(self, jobs: dict[str, JobRecord]) -> None:
        self.jobs = jobs

    def hold(self, job_id: str, attempt: int) -> bool:
        job = self.jobs[job_id]
        if job.state.is_terminal or job.attempt != attempt or job.held_attempt == attempt:
            return False
        self.jobs[job_id] = job.model_copy(update={"held_attempt": attempt})
        return True

    def all(self) -> Iterator[JobRecord]:
        for job in list(self.jobs.values()):
            if job.held_attempt == job.attempt and not job.state.is_terminal:
                yield job

    def release(self, job_id: str, attempt: int) -> bool:
        job = self.jobs[job_id]
        if job.state.is_terminal or not job.held_attempt == job.attempt == attempt:
            return False
        changes = {
            "held_attempt": None,
            "dispatched_attempt": attempt - 1,
            "state": JobState.QUEUED,
        }
        self.jobs[job_id] = job.model_copy(update=changes)
        return True


class FakeStopFlag:
    def __init__(self) -> None:
        self.stop: ServiceStop | None = None
        self.reads = 0

    def read(self) -> ServiceStop | None:
        self.reads += 1
        return self.stop

    def set(self, stop: ServiceStop) -> ServiceStop:
        self.stop = self.stop or stop
        return self.stop

    def clear(self) -> None:
        self.stop = None


class FakeSlots:
    """Leases by caller and slot."""

    def __init__(self) -> None:
        self.leases: dict[str, dict[int, int]] = {}
        self.on_take: Any = None

    def taken(self, owner: str) -> dict[int, int]:
        return dict(self.leases.get(owner, {}))

    def take(self, owner: str, slot: int, *, now_ms: int, until_ms: int) -> bool:
        if self.on_take:
            self.on_take()
        if self.taken(owner).get(slot, 0) > now_ms:
            return False
        self.leases.setdefault(owner, {})[slot] = until_ms
        return True

    def free(self, owner: str, slot: int, until_ms: int) -> None:
        if self.taken(owner).get(slot) == until_ms:
            del self.leases[owner][slot]


class FakeCapacity:
    def __init__(self) -> None:
        self.allowed = True
        self.error: Exception | None = None

    def withdraw(self) -> None:
        if self.error:
            raise self.error
        self.allowed = False

    def restore(self) -> None:
        if self.error:
            raise self.error
        self.allowed = True

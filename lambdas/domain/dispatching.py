"""Handing queued jobs to the lane that runs them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from nvfp4_ddim_contracts import Lane
from nvfp4_ddim_contracts.invocations import InvocationRequest
from nvfp4_ddim_contracts.keys import job_input_key

from .holding import HeldJobs
from .ports import InferenceQueue, JobStore, ObjectStore
from .stopping import ServiceGate
from .task_inputs import upload_keys

__all__ = ["Dispatch", "JobDispatcher"]


class Dispatch(StrEnum):
    """What became of a job's attempt."""

    DONE = "done"
    """It was handed over now."""
    HELD = "held"
    """The service is stopped: it waits."""
    NOTHING = "nothing"
    """There was nothing to do."""


@dataclass(frozen=True)
class JobDispatcher:
    """Dispatches each attempt of a job at least once, and hardly ever twice."""

    jobs: JobStore
    results: ObjectStore
    lanes: Mapping[Lane, InferenceQueue]
    gate: ServiceGate
    held: HeldJobs

    def dispatch(self, job_id: str) -> Dispatch:
        """Hand the job's current attempt to inference, if that is still to be done.

        The job is read afresh: the event that leads here may be a repetition, or older than a
        cancellation. The attempt is noted only after it was accepted, so that a crash in between
        repeats it; the container stops on a job that has ended. While the service is stopped, the
        attempt waits.
        """
        job = self.jobs.get(job_id)
        if job is None or not job.needs_dispatch:
            return Dispatch.NOTHING
        if not self.gate.is_open():
            return Dispatch.HELD if self.held.hold(job.id, job.attempt) else Dispatch.NOTHING
        key = job_input_key(job.id, job.attempt)
        body = InvocationRequest.of(job.request, upload_keys(job.owner, job.request))
        self.results.put(key, body, "application/json")
        # A stage may have lost a lane since it took the job; it always has the asynchronous one.
        queue = self.lanes.get(job.lane) or self.lanes[Lane.ASYNC]
        queue.submit(job.id, self.results.uri(key))
        self.jobs.mark_dispatched(job.id, job.attempt)
        return Dispatch.DONE

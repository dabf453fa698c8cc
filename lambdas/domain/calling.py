"""Carrying out an attempt at an endpoint that answers while one waits."""

from dataclasses import dataclass
from enum import StrEnum

from nvfp4_ddim_contracts.lanes import InferenceTask, inference_message

from .holding import HeldJobs
from .ports import Announcements, InferenceEndpoint, JobStore, ObjectStore
from .stopping import ServiceGate

__all__ = ["EndpointCaller", "NotCalled"]

_JSON = "application/json"
_FAILED = 400


class NotCalled(StrEnum):
    """Why an endpoint was not called."""

    UNWANTED = "unwanted"
    """Nobody wants the picture any more."""
    HELD = "held"
    """The service is stopped: the attempt waits."""


@dataclass(frozen=True)
class EndpointCaller:
    """Calls an endpoint, and leaves its answer where asynchronous inference leaves one."""

    jobs: JobStore
    objects: ObjectStore
    endpoint: InferenceEndpoint
    announcements: Announcements
    source: str
    gate: ServiceGate
    held: HeldJobs

    def carry_out(self, task: InferenceTask) -> int | NotCalled:
        """Carry out one attempt.

        Args:
            task: The attempt.

        Returns:
            The container's HTTP status, or why it was not asked.

        Raises:
            ObjectNotFoundError: The request is not there.
        """
        job = self.jobs.get(task.job_id)
        if job is None or job.state.is_terminal:
            return NotCalled.UNWANTED
        if not self.gate.is_open():
            # Accepted before the stop: Lambda had kept it in its own queue.
            self.held.hold(task.job_id, task.attempt)
            return NotCalled.HELD
        body = self.objects.get(self.objects.key_of(task.input_uri))
        status, answer = self.endpoint.call(task.job_id, body)
        failed = status >= _FAILED
        self.objects.put(task.answer_key(failed=failed), answer, _JSON)
        message = inference_message(task, self.source, status, answer)
        self.announcements.publish(message, failed=failed)
        return status

"""Carrying out an attempt at an endpoint that answers while one waits."""

from dataclasses import dataclass

from nvfp4_ddim_contracts.lanes import InferenceTask, inference_message

from .ports import Announcements, InferenceEndpoint, JobStore, ObjectStore

__all__ = ["EndpointCaller"]

_JSON = "application/json"
_FAILED = 400


@dataclass(frozen=True)
class EndpointCaller:
    """Calls an endpoint, and leaves its answer where asynchronous inference leaves one."""

    jobs: JobStore
    objects: ObjectStore
    endpoint: InferenceEndpoint
    announcements: Announcements
    source: str

    def carry_out(self, task: InferenceTask) -> int | None:
        """Carry out one attempt.

        Args:
            task: The attempt.

        Returns:
            The container's HTTP status; None if nobody wants the picture any more.

        Raises:
            ObjectNotFoundError: The request is not there.
        """
        job = self.jobs.get(task.job_id)
        if job is None or job.state.is_terminal:
            return None
        body = self.objects.get(self.objects.key_of(task.input_uri))
        status, answer = self.endpoint.call(task.job_id, body)
        failed = status >= _FAILED
        self.objects.put(task.answer_key(failed=failed), answer, _JSON)
        message = inference_message(task, self.source, status, answer)
        self.announcements.publish(message, failed=failed)
        return status

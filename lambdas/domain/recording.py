"""Writing down how an attempt ended.

Notifications come at least once, in any order, and sometimes after the job was cancelled or
expired. A job that has ended never changes. Before that, a success counts whichever attempt it
comes from (all attempts share the seed, so they make the same picture), and a failure counts only
if it is the current attempt's. Pictures lie in S3 before the job says that it succeeded.
"""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import ValidationError

from nvfp4_ddim_contracts import GenerationResult, ImageFormat, JobState, Lane
from nvfp4_ddim_contracts.keys import result_image_key
from nvfp4_ddim_contracts.pricing import CostEstimate, estimate_inference

from .errors import NotificationError, ObjectNotFoundError, TransitionRefusedError
from .failures import AttemptFailure, classify_failure, unreadable_answer
from .measuring import latency_of
from .notifications import InferenceNotification
from .ports import Clock, JobMeter, JobStore, ObjectStore
from .records import JobRecord, StoredAttempt, StoredImage, Transition

__all__ = ["Outcome", "ResultRecorder"]


class Outcome(StrEnum):
    """What a notification led to."""

    SUCCEEDED = "succeeded"
    RETRIED = "retried"
    FAILED = "failed"
    IGNORED = "ignored"


@dataclass(frozen=True)
class ResultRecorder:
    """Turns notifications into results, retries and failures."""

    jobs: JobStore
    results: ObjectStore
    clock: Clock
    max_attempts: int
    instance_type: str
    meter: JobMeter

    def record(self, notification: InferenceNotification) -> Outcome:
        """Record the end of an attempt.

        Args:
            notification: What SageMaker published.

        Returns:
            What it led to.

        Raises:
            NotificationError: It says that it succeeded but not where the answer lies.
            ObjectNotFoundError: The answer is not there; the message should come again.
        """
        job = self.jobs.get(notification.job_id)
        if job is None or job.state.is_terminal:
            return Outcome.IGNORED
        try:
            if notification.succeeded:
                return self._succeed(job, notification)
            return self._fail(job, notification.attempt, self._failure(job.id, notification))
        except TransitionRefusedError:
            return Outcome.IGNORED

    def _succeed(self, job: JobRecord, notification: InferenceNotification) -> Outcome:
        if notification.location is None:
            raise NotificationError("The notification of a success names no outputLocation.")
        answer = self.results.get(self.results.key_of(notification.location))
        try:
            result = GenerationResult.model_validate_json(answer)
        except ValidationError:
            return self._fail(job, notification.attempt, unreadable_answer(job.id))
        images = self._write_images(job.id, result)
        try:
            done = self.jobs.apply(
                Transition(
                    job_id=job.id,
                    target=JobState.SUCCEEDED,
                    at=self.clock.now(),
                    step=job.total_steps,
                    images=images,
                    provenance=result.provenance,
                    timings=result.timings,
                    cost_estimate=self._cost(job, result),
                )
            )
        except TransitionRefusedError:
            self._unpublish(job.id, images)
            raise
        self.meter.succeeded(done, latency_of(done, notification.finished_at or done.updated_at))
        return Outcome.SUCCEEDED

    def _cost(self, job: JobRecord, result: GenerationResult) -> CostEstimate | None:
        """Of the asynchronous lane, whose machine is known; none is better than a wrong one."""
        if job.lane is not Lane.ASYNC:
            return None
        timings = result.timings
        return estimate_inference(
            self.instance_type, timings.generate_seconds + timings.encode_seconds
        )

    def _write_images(self, job_id: str, result: GenerationResult) -> tuple[StoredImage, ...]:
        images = []
        for index, image in enumerate(result.images):
            key = result_image_key(job_id, index, _EXTENSIONS[image.image_format])
            self.results.put(key, image.data, f"image/{image.image_format}")
            images.append(
                StoredImage(
                    key=key,
                    seed=image.seed,
                    width=image.width,
                    height=image.height,
                    image_format=image.image_format,
                )
            )
        return tuple(images)

    def _unpublish(self, job_id: str, images: tuple[StoredImage, ...]) -> None:
        """Remove pictures of a job that was cancelled while they were written."""
        job = self.jobs.get(job_id)
        if job is None or job.state is not JobState.SUCCEEDED:
            for image in images:
                self.results.delete(image.key)

    def _failure(self, job_id: str, notification: InferenceNotification) -> AttemptFailure:
        body = notification.body
        if body is None and notification.location is not None:
            try:
                body = self.results.get(self.results.key_of(notification.location))
            except ObjectNotFoundError:
                body = None
        return classify_failure(job_id, notification.reason, body)

    def _fail(self, job: JobRecord, attempt: int, failure: AttemptFailure) -> Outcome:
        again = failure.retryable and attempt < self.max_attempts
        now = self.clock.now()
        lost = StoredAttempt(number=attempt, started_at=job.started_at, finished_at=now)
        self.jobs.apply(
            Transition(
                job_id=job.id,
                target=JobState.QUEUED if again else JobState.FAILED,
                at=now,
                attempt=attempt,
                next_attempt=attempt + 1 if again else None,
                attempts=(*job.attempts, lost) if again else None,
                step=0 if again else None,
                error=None if again else failure.problem,
            )
        )
        return Outcome.RETRIED if again else Outcome.FAILED


_EXTENSIONS = {ImageFormat.PNG: "png", ImageFormat.WEBP: "webp", ImageFormat.JPEG: "jpg"}

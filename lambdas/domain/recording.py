"""Writing down how an attempt ended.

Notifications come at least once, in any order, and sometimes after the job was cancelled or
expired. A job that has ended never changes. Before that, a success counts whichever attempt it
comes from (all attempts share the seed, so they make the same picture), and a failure counts only
if it is the current attempt's. Pictures lie in S3 before the job says that it succeeded.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue, ValidationError

from nvfp4_ddim_contracts import (
    GenerationRequest,
    GenerationResult,
    ImageFormat,
    JobState,
    Lane,
)
from nvfp4_ddim_contracts.keys import result_file_key, result_image_key
from nvfp4_ddim_contracts.machines import LaneMachines
from nvfp4_ddim_contracts.pricing import CostEstimate
from nvfp4_ddim_contracts.tasks import TaskResult

from .errors import NotificationError, ObjectNotFoundError, TransitionRefusedError
from .failures import AttemptFailure, classify_failure, unreadable_answer
from .measuring import latency_of
from .notifications import InferenceNotification
from .ports import Clock, JobMeter, JobStore, ObjectStore
from .records import JobRecord, StoredAttempt, StoredFile, StoredImage, Transition

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
    machines: LaneMachines
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
        result: GenerationResult | TaskResult
        try:
            if isinstance(job.request, GenerationRequest):
                result = GenerationResult.model_validate_json(answer)
            else:
                result = TaskResult.model_validate_json(answer)
        except ValidationError:
            return self._fail(job, notification.attempt, unreadable_answer(job.id))
        images, files, report = self._write(job.id, result)
        try:
            done = self.jobs.apply(
                Transition(
                    job_id=job.id,
                    target=JobState.SUCCEEDED,
                    at=self.clock.now(),
                    step=job.total_steps,
                    images=images,
                    files=files,
                    report=report,
                    provenance=result.provenance,
                    timings=result.timings,
                    cost_estimate=self._cost(job.lane, result),
                )
            )
        except TransitionRefusedError:
            self._unpublish(job.id, [*(each.key for each in images), *(each.key for each in files)])
            raise
        self.meter.succeeded(done, latency_of(done, notification.finished_at or done.updated_at))
        return Outcome.SUCCEEDED

    def _cost(self, lane: Lane, result: GenerationResult | TaskResult) -> CostEstimate | None:
        """By the machine that the container names, or else the lane's; None if neither is known."""
        price = self.machines.price(lane, result.instance_type)
        timings = result.timings
        busy = timings.generate_seconds + timings.encode_seconds
        return price.estimate(busy) if price else None

    def _write(
        self, job_id: str, result: GenerationResult | TaskResult
    ) -> tuple[tuple[StoredImage, ...], tuple[StoredFile, ...], dict[str, JsonValue] | None]:
        """Store an answer; the report is left out where it is too long for the job's item."""
        if isinstance(result, GenerationResult):
            return self._write_images(job_id, result), (), None
        text = json.dumps(result.report, ensure_ascii=False, separators=(",", ":")).encode()
        files = {_REPORT: (text, "application/json")}
        files |= {file.name: (file.data, file.media_type) for file in result.files}
        stored = tuple(self._write_file(job_id, name, *file) for name, file in files.items())
        return (), stored, result.report if len(text) <= _MAX_REPORT_BYTES else None

    def _write_file(self, job_id: str, name: str, data: bytes, media_type: str) -> StoredFile:
        key = result_file_key(job_id, name)
        # Served beside the console: anything but a plain picture is kept, never shown.
        shown = media_type in _SHOWN
        self.results.put(key, data, media_type, download_as=None if shown else name)
        return StoredFile(
            name=name,
            key=key,
            media_type=media_type,
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
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

    def _unpublish(self, job_id: str, keys: list[str]) -> None:
        """Remove pictures and files of a job that was cancelled while they were written."""
        job = self.jobs.get(job_id)
        if job is None or job.state is not JobState.SUCCEEDED:
            for key in keys:
                self.results.delete(key)

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


_REPORT = "report.json"
# An item of the job table has 400 KB at most.
_MAX_REPORT_BYTES = 100_000
_SHOWN = frozenset({"image/png", "image/jpeg", "image/webp"})
_EXTENSIONS = {ImageFormat.PNG: "png", ImageFormat.WEBP: "webp", ImageFormat.JPEG: "jpg"}

"""The OpenAI Images API's `create`, on top of jobs."""

import base64
from dataclasses import dataclass

from pydantic import ValidationError

from nvfp4_ddim_contracts import FieldError, JobRequest, JobState, Provenance
from nvfp4_ddim_contracts.images import ImageData, ImagesRequest, ImagesResponse

from .errors import (
    AnswerTooLargeError,
    GenerationFailedError,
    InvalidRequestError,
    JobPendingError,
)
from .jobs import JobService
from .ports import Clock, ObjectStore, UrlSigner
from .records import JobRecord
from .submission import JobSubmitter
from .validation import field_errors

__all__ = ["ImageService", "PendingImages", "to_job_request"]

# Lambda answers with 6 MB at most; base64 makes four bytes of three.
_MAX_INLINE_BYTES = 4_000_000


def to_job_request(request: ImagesRequest) -> JobRequest:
    """The job that an OpenAI-shaped request stands for.

    Raises:
        InvalidRequestError: The size is out of range, or not in multiples of 8 pixels.
    """
    width, height = (None, None) if request.size == "auto" else map(int, request.size.split("x"))
    try:
        return JobRequest(
            prompt=request.prompt,
            model=request.model,
            preset=request.quality.preset,
            width=width,
            height=height,
            num_images=request.n,
            seed=request.seed,
            image_format=request.output_format,
        )
    except ValidationError as error:
        # Everything else was checked by the request's own model already.
        errors = tuple(
            FieldError(field="size", message=f"{wrong.field}: {wrong.message}")
            for wrong in field_errors(error)
        )
        raise InvalidRequestError("The size is not possible.", errors) from error


@dataclass(frozen=True)
class PendingImages:
    """A request that was accepted and is to be awaited."""

    job: JobRecord
    replayed: bool
    inline: bool


@dataclass(frozen=True)
class ImageService:
    """Makes pictures while the caller waits."""

    submitter: JobSubmitter
    jobs: JobService
    results: ObjectStore
    signer: UrlSigner
    clock: Clock

    def create(
        self, owner: str, request: ImagesRequest, idempotency_key: str | None
    ) -> PendingImages:
        """Accept the request.

        Raises:
            UnknownModelError: No artifact is being served under the model's name.
            IdempotencyMismatchError: The key was used with another request.
            InvalidRequestError: The size is not possible.
        """
        submission = self.submitter.submit(
            owner, to_job_request(request), idempotency_key, waiting=True
        )
        return PendingImages(
            submission.job, submission.replayed, request.response_format == "b64_json"
        )

    def finish(self, pending: PendingImages, wait_seconds: float) -> ImagesResponse:
        """Wait for the pictures.

        Raises:
            JobPendingError: They are not ready after `wait_seconds`; the job goes on.
            GenerationFailedError: The job failed, or was cancelled or expired.
            AnswerTooLargeError: They don't fit into the answer.
        """
        job = self.jobs.wait(pending.job, wait_seconds)
        if not job.state.is_terminal:
            raise JobPendingError(job.id)
        if job.state is not JobState.SUCCEEDED or not isinstance(job.provenance, Provenance):
            raise GenerationFailedError(job.id, job.state, job.error)
        return ImagesResponse(
            created=int(job.created_at.timestamp()),
            data=self._inline(job) if pending.inline else self._links(job),
            job_id=job.id,
            provenance=job.provenance,
        )

    def _links(self, job: JobRecord) -> tuple[ImageData, ...]:
        now = self.clock.now()
        return tuple(ImageData(url=self.signer.sign(image.key, now)[0]) for image in job.images)

    def _inline(self, job: JobRecord) -> tuple[ImageData, ...]:
        pictures = [self.results.get(image.key) for image in job.images]
        if sum(map(len, pictures)) > _MAX_INLINE_BYTES:
            raise AnswerTooLargeError(job.id)
        return tuple(ImageData(b64_json=base64.b64encode(data).decode()) for data in pictures)

"""A job as callers see it."""

from dataclasses import dataclass
from datetime import datetime

from nvfp4_ddim_contracts import Job, JobAttempt, JobFile, JobImage, JobProgress
from nvfp4_ddim_contracts.requests import task_of

from .ports import Clock, UrlSigner
from .records import JobRecord, StoredFile, StoredImage

__all__ = ["JobPresenter", "present_job"]


def present_job(
    job: JobRecord, images: tuple[JobImage, ...] = (), files: tuple[JobFile, ...] = ()
) -> Job:
    """The job as the contract says, with the links given."""
    return Job(
        id=job.id,
        state=job.state,
        task=task_of(job.request),
        request=job.request,
        progress=JobProgress(step=job.step, total_steps=job.total_steps),
        lane=job.lane,
        attempt=job.attempt,
        attempts=_attempts(job),
        created_at=job.created_at,
        updated_at=job.updated_at,
        images=images,
        report=job.report,
        files=files,
        provenance=job.provenance,
        timings=job.timings,
        cost_estimate=job.cost_estimate,
        error=job.error,
        webhook_url=job.webhook_url,
    )


def _attempts(job: JobRecord) -> tuple[JobAttempt, ...]:
    """The lost attempts and the latest, which ends with the job."""
    latest = JobAttempt(
        number=job.attempt,
        started_at=job.started_at,
        finished_at=job.updated_at if job.state.is_terminal else None,
    )
    return (*(JobAttempt(**attempt.model_dump()) for attempt in job.attempts), latest)


@dataclass(frozen=True)
class JobPresenter:
    """Adds links to finished pictures and files."""

    signer: UrlSigner
    clock: Clock

    def present(self, job: JobRecord) -> Job:
        """The job as the contract says."""
        now = self.clock.now()
        return present_job(
            job,
            tuple(self._image(image, now) for image in job.images),
            tuple(self._file(file, now) for file in job.files),
        )

    def present_listed(self, job: JobRecord) -> Job:
        """The same for a list of jobs, which may be long: without the report."""
        return self.present(job.model_copy(update={"report": None}))

    def _image(self, image: StoredImage, now: datetime) -> JobImage:
        url, expires_at = self.signer.sign(image.key, now)
        return JobImage(
            url=url,
            seed=image.seed,
            width=image.width,
            height=image.height,
            expires_at=expires_at,
        )

    def _file(self, file: StoredFile, now: datetime) -> JobFile:
        url, expires_at = self.signer.sign(file.key, now)
        return JobFile(
            name=file.name,
            media_type=file.media_type,
            url=url,
            bytes=file.bytes,
            sha256=file.sha256,
            expires_at=expires_at,
        )

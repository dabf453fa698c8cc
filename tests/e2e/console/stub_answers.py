"""What the stub of the service answers, made with the contracts' models."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

from PIL import Image, ImageDraw
from pydantic import ValidationError

from nvfp4_ddim_contracts import (
    AnyRequest,
    FieldError,
    Job,
    JobFile,
    JobImage,
    JobProgress,
    JobState,
    Problem,
    ProblemType,
    Provenance,
    Timings,
)
from nvfp4_ddim_contracts.models import Model, ModelList
from nvfp4_ddim_contracts.requests import task_of
from nvfp4_ddim_contracts.tasks import TaskProvenance

__all__ = [
    "ARTIFACT_SHA256",
    "invalid",
    "make_job",
    "models",
    "picture",
    "problem",
    "succeeded",
    "task_done",
]

NATIVE_PIXELS = 64
ARTIFACT_SHA256 = "5f" * 32


def make_job(request: AnyRequest, number: int = 1) -> Job:
    """A queued job."""
    now = datetime.now(UTC)
    steps = request.num_inference_steps or 20
    return Job(
        id=f"{number:032x}",
        state=JobState.QUEUED,
        task=task_of(request),
        request=request,
        progress=JobProgress(step=0, total_steps=steps),
        created_at=now,
        updated_at=now,
    )


def succeeded(job: Job, page_url: str, seed: int) -> Job:
    """The job as it looks 3.5 seconds after its creation, of which 2.25 went into drawing."""
    link = page_url.replace("index.html", f"results/{job.id}/0.png")
    image = JobImage(
        url=link,
        seed=seed,
        width=NATIVE_PIXELS,
        height=NATIVE_PIXELS,
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )
    provenance = Provenance(
        model="emoji-64",
        artifact_sha256=ARTIFACT_SHA256,
        preset=job.request.preset,
        num_inference_steps=job.progress.total_steps,
        guidance_scale=4.0,
        eta=0.0,
        seed=seed,
        execution_path="cpu/fp32/nvfp4-dequantise",
        library_version="0.1.0",
    )
    return job.model_copy(
        update={
            "state": JobState.SUCCEEDED,
            "images": (image,),
            "provenance": provenance,
            "timings": Timings(queue_seconds=0.1, generate_seconds=2.25, encode_seconds=0.0),
            "updated_at": job.created_at + timedelta(seconds=3.5),
        }
    )


def task_done(job: Job, page_url: str, report: dict[str, Any], files: dict[str, str]) -> Job:
    """A task's job at its end."""
    made = tuple(
        JobFile(
            name=name.replace("_", "."),
            media_type=media_type,
            url=page_url.replace("index.html", f"results/{job.id}/{name.replace('_', '.')}"),
            bytes=2048,
            sha256="ab" * 32,
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        )
        for name, media_type in files.items()
    )
    provenance = TaskProvenance(
        model="toy-model",
        artifact_sha256=ARTIFACT_SHA256,
        preset=job.request.preset,
        num_inference_steps=job.progress.total_steps,
        seed=7,
        execution_path="cpu/fp32/nvfp4-dequantise",
        library_version="0.1.0",
    )
    return job.model_copy(
        update={
            "state": JobState.SUCCEEDED,
            "report": report,
            "files": made,
            "provenance": provenance,
            "timings": Timings(queue_seconds=0.1, generate_seconds=2.25, encode_seconds=0.0),
            "updated_at": job.created_at + timedelta(seconds=3.5),
        }
    )


def problem(type_: ProblemType, status: int, title: str, detail: str, **rest: Any) -> Problem:
    """Shorthand for a problem."""
    return Problem(type=type_, status=status, title=title, detail=detail, **rest)


def picture() -> bytes:
    image = Image.new("RGB", (NATIVE_PIXELS, NATIVE_PIXELS), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((12, 12, 52, 52), fill=(221, 46, 68))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def models() -> ModelList:
    model = Model(
        id="emoji-64",
        created=1_780_000_000,
        owned_by="nvfp4-ddim",
        artifact_sha256=ARTIFACT_SHA256,
        license="CC-BY-4.0",
        artifact_bytes=4_000_000,
        native_width=NATIVE_PIXELS,
        native_height=NATIVE_PIXELS,
    )
    return ModelList(data=(model,))


def invalid(error: ValidationError) -> Problem:
    errors = tuple(
        FieldError(field=".".join(map(str, item["loc"])), message=item["msg"])
        for item in error.errors()
    )
    detail = "The request has errors."
    return problem(ProblemType.INVALID_REQUEST, 400, "Invalid request", detail, errors=errors)

"""Examples of the document, each a valid instance of its model."""

from datetime import UTC, datetime, timedelta
from typing import Any

from nvfp4_ddim_contracts import (
    FieldError,
    GenerationRequest,
    Job,
    JobAttempt,
    JobImage,
    JobPage,
    JobProgress,
    JobState,
    Preset,
    Problem,
    ProblemType,
    Provenance,
    Timings,
    Upload,
    UploadRequest,
)
from nvfp4_ddim_contracts.images import ImageData, ImageQuality, ImagesRequest, ImagesResponse
from nvfp4_ddim_contracts.models import Model, ModelList
from nvfp4_ddim_contracts.pricing import instance_price
from nvfp4_ddim_contracts.task_list import TaskList, list_tasks
from nvfp4_ddim_contracts.tasks import TASKS, TaskProvenance, TaskSpec
from nvfp4_ddim_contracts.webhooks import JobEvent, JobEventType, JobRequest, WebhookSecret

__all__ = [
    "images_request",
    "images_response",
    "job_event",
    "job_page",
    "job_request",
    "model_list",
    "problem",
    "queued_job",
    "succeeded_job",
    "succeeded_task",
    "task_list",
    "task_requests",
    "upload",
    "upload_request",
    "webhook_secret",
]

_JOB_ID = "9f1c2ab34d5e4f60918273645546372a"
_UPLOAD_ID = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_CREATED = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
_URL = f"https://d111111abcdef8.cloudfront.net/results/{_JOB_ID}/0.png?Expires=1768482000"
_SHA256 = "4be1c1a3f0a24a5e8d1c6b7a9f8e7d6c5b4a39281706f5e4d3c2b1a0918273ff"
_REQUEST = GenerationRequest(prompt="red heart", model="emoji-64", preset=Preset.FAST, seed=7)
_PRICE = instance_price("ml.g6.xlarge")
_PROVENANCE = Provenance(
    model="emoji-64",
    artifact_sha256=_SHA256,
    preset=Preset.FAST,
    num_inference_steps=Preset.FAST.steps,
    guidance_scale=4.0,
    eta=0.0,
    seed=7,
    execution_path="cpu/fp32/nvfp4-dequantise",
    library_version="0.1.0",
)


def job_request() -> dict[str, Any]:
    """The body of `POST /v1/jobs`."""
    request: dict[str, Any] = JobRequest(
        prompt="red heart", preset=Preset.FAST, seed=7, webhook_url="https://example.org/pictures"
    ).model_dump(mode="json", exclude_defaults=True)
    return request


def task_requests() -> dict[str, dict[str, Any]]:
    """A body of `POST /v1/jobs` for every task, with all the files that it must have."""
    return {str(spec.name): _task_request(spec) for spec in TASKS.values()}


def _task_request(spec: TaskSpec) -> dict[str, Any]:
    inputs = {slot.name: {"upload": _UPLOAD_ID} for slot in spec.inputs if slot.required}
    body = {"task": str(spec.name), "inputs": inputs, "parameters": {}, "preset": "fast"}
    spec.request.model_validate(body)
    return body


def task_list() -> dict[str, Any]:
    """The answer of `GET /v1/tasks`, with the first task alone."""
    return TaskList(data=list_tasks().data[:1]).model_dump(mode="json")


def images_request() -> dict[str, Any]:
    """The body of `POST /v1/images/generations`."""
    return ImagesRequest(prompt="red heart", model="emoji-64", quality=ImageQuality.LOW).model_dump(
        mode="json", exclude_defaults=True
    )


def _queued() -> Job:
    return Job(
        id=_JOB_ID,
        state=JobState.QUEUED,
        request=_REQUEST,
        progress=JobProgress(total_steps=Preset.FAST.steps),
        attempts=(JobAttempt(number=1),),
        created_at=_CREATED,
        updated_at=_CREATED,
    )


def _succeeded() -> Job:
    steps = Preset.FAST.steps
    image = JobImage(
        url=_URL, seed=7, width=64, height=64, expires_at=_CREATED + timedelta(hours=1)
    )
    return _queued().model_copy(
        update={
            "state": JobState.SUCCEEDED,
            "progress": JobProgress(step=steps, total_steps=steps),
            "updated_at": _CREATED + timedelta(seconds=2),
            "images": (image,),
            "provenance": _PROVENANCE,
            "attempts": (
                JobAttempt(
                    number=1,
                    started_at=_CREATED + timedelta(milliseconds=400),
                    finished_at=_CREATED + timedelta(seconds=2),
                ),
            ),
            "cost_estimate": _PRICE and _PRICE.estimate(1.41),
            "timings": Timings(queue_seconds=0.02, generate_seconds=1.4, encode_seconds=0.01),
        }
    )


def queued_job() -> dict[str, Any]:
    """A job that was just accepted."""
    return _queued().model_dump(mode="json")


def succeeded_job() -> dict[str, Any]:
    """A job that is done."""
    return _succeeded().model_dump(mode="json")


def succeeded_task() -> dict[str, Any]:
    """A job of a task that is done; a report and files are the task's own."""
    job = _succeeded().model_dump(mode="json")
    spec = next(iter(TASKS.values()), None)
    if spec is None:
        return job
    made = {"name": "report.json", "media_type": "application/json", "bytes": 2}
    link = {"url": _URL.replace("0.png", "report.json"), "sha256": _SHA256}
    expires_at = job["images"][0]["expires_at"]
    request = _task_request(spec) | {"model": spec.model, "seed": 7}
    shown = {"task": str(spec.name), "request": request, "images": (), "report": {}}
    files = ({**made, **link, "expires_at": expires_at},)
    provenance = {
        name: value
        for name, value in {**job["provenance"], "model": spec.model}.items()
        if name in TaskProvenance.model_fields
    }
    body = {**job, **shown, "files": files, "provenance": provenance}
    return Job.model_validate(body).model_dump(mode="json")


def job_page() -> dict[str, Any]:
    """A page of jobs."""
    return JobPage(jobs=(_succeeded(),)).model_dump(mode="json")


def images_response() -> dict[str, Any]:
    """The answer to an OpenAI-shaped request."""
    return ImagesResponse(
        created=int(_CREATED.timestamp()),
        data=(ImageData(url=_URL),),
        job_id=_JOB_ID,
        provenance=_PROVENANCE,
    ).model_dump(mode="json", exclude_none=True)


def model_list() -> dict[str, Any]:
    """The list of models."""
    model = Model(
        id="emoji-64",
        created=int(_CREATED.timestamp()),
        owned_by="nvfp4-ddim",
        artifact_sha256=_SHA256,
        license="CC-BY-4.0",
        artifact_bytes=6_291_456,
        native_width=64,
        native_height=64,
    )
    return ModelList(data=(model,)).model_dump(mode="json")


def job_event() -> dict[str, Any]:
    """The body of a webhook call."""
    job = _succeeded().model_copy(update={"webhook_url": "https://example.org/pictures"})
    return JobEvent(type=JobEventType.SUCCEEDED, timestamp=job.updated_at, data=job).model_dump(
        mode="json"
    )


def upload_request() -> dict[str, Any]:
    """The body of `POST /v1/uploads`."""
    return UploadRequest(content_type="image/png", size_bytes=48_213).model_dump(mode="json")


def upload() -> dict[str, Any]:
    """The answer of `POST /v1/uploads`."""
    return Upload(
        id=_UPLOAD_ID,
        content_type="image/png",
        size_bytes=48_213,
        url="https://results-bucket.s3.eu-west-1.amazonaws.com/",
        fields={
            "Content-Type": "image/png",
            "key": f"uploads/0123456789abcdef/{_UPLOAD_ID}",
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "policy": "eyJleHBpcmF0aW9uIjogIjIwMjYtMDEtMTVUMTI6MTU6MDBaIn0=",
            "x-amz-signature": "8d0f6c",
        },
        expires_at=_CREATED + timedelta(minutes=15),
    ).model_dump(mode="json")


def webhook_secret() -> dict[str, Any]:
    """The answer of `GET /v1/webhooks/secret`."""
    return WebhookSecret(secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").model_dump()  # noqa: S106


def problem() -> dict[str, Any]:
    """A request that was refused."""
    return Problem(
        type=ProblemType.INVALID_REQUEST,
        title="The request is not valid",
        status=400,
        detail="The request's body is not valid.",
        errors=(
            FieldError(field="preset", message="Input should be 'fast', 'balanced' or 'quality'"),
        ),
        instance="0f0e7a52-1f3f-4b0f-9f0b-8f7e5a6c7d8e",
    ).model_dump(mode="json", exclude_none=True)

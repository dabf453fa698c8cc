"""Jobs of tasks, from the request to the files that callers fetch."""

import base64
import hashlib
import json
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.domain.dispatching import Dispatch
from lambdas.domain.errors import (
    InvalidRequestError,
    LaneUnavailableError,
    UnknownModelError,
    UploadNotFoundError,
)
from lambdas.domain.notifications import InferenceNotification
from lambdas.domain.presenting import JobPresenter
from lambdas.domain.recording import Outcome
from lambdas.domain.records import JobRecord, StoredUpload
from nvfp4_ddim_contracts import JobRequest, JobState, Lane, LaneOffer, LaneOffers
from nvfp4_ddim_contracts.invocations import InvocationRequest
from nvfp4_ddim_contracts.keys import job_input_key, upload_key
from nvfp4_ddim_contracts.media_types import OCTET_STREAM
from nvfp4_ddim_contracts.requests import input_files
from tests.support_tasks import MAX_TOY_BYTES, TOY_MODEL, install_toy

OWNER = "0123456789abcdef"
OTHER = "fedcba9876543210"
UPLOAD_ID = "cd" * 16
PNG = b"a picture"


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    install_toy(monkeypatch)


def make(file: dict[str, Any] | None = None, **rest: Any) -> JobRequest:
    image = file or {"data": base64.b64encode(PNG).decode()}
    return JobRequest(task="segment", inputs={"image": image}, **rest)


def submit(world: SimpleNamespace, request: JobRequest, key: str | None = None) -> JobRecord:
    job: JobRecord = world.submitter.submit(OWNER, request, key).job
    return job


def answer(**rest: Any) -> bytes:
    files = [("mask.png", "image/png", b"mask"), ("page.html", "text/html", b"<p>")]
    body = {
        "task": "segment",
        "report": {"area": 9},
        "files": [
            {"name": name, "media_type": kind, "data": base64.b64encode(data).decode()}
            for name, kind, data in files
        ],
        "provenance": {
            "model": TOY_MODEL,
            "artifact_sha256": "ab",
            "preset": "balanced",
            "num_inference_steps": 20,
            "seed": 4242,
            "execution_path": "cpu/fp32",
            "library_version": "0.1.0",
        },
        "timings": {"queue_seconds": 0, "generate_seconds": 1, "encode_seconds": 0},
    }
    return json.dumps(body | rest).encode()


def record(world: SimpleNamespace, job: JobRecord, body: bytes) -> Outcome:
    world.objects.items["async/output/answer.json"] = body
    found: Outcome = world.recorder.record(
        InferenceNotification(
            job_id=job.id,
            attempt=1,
            succeeded=True,
            reason="",
            location=world.objects.uri("async/output/answer.json"),
            body=None,
        )
    )
    return found


def test_a_file_inside_the_request_becomes_an_upload_of_the_callers(world: SimpleNamespace) -> None:
    job = submit(world, make())
    assert job.request.model == TOY_MODEL
    assert job.request.seed == 4242
    assert not isinstance(job.request, dict)
    file = input_files(job.request)["image"]  # type: ignore[arg-type]
    assert file.data is None
    assert file.upload is not None
    key = upload_key(OWNER, file.upload)
    assert world.uploads.bodies == {key: PNG}
    assert world.uploads.items[key].content_type == OCTET_STREAM


def test_the_container_is_handed_keys(world: SimpleNamespace) -> None:
    key = upload_key(OWNER, UPLOAD_ID)
    world.uploads.items[key] = StoredUpload(key, "image/png", 9)
    job = submit(world, make({"upload": UPLOAD_ID}))
    assert world.dispatcher.dispatch(job.id) is Dispatch.DONE
    body = world.objects.items[job_input_key(job.id, 1)]
    message = InvocationRequest.model_validate_json(body)
    assert message.upload_keys == {UPLOAD_ID: key}
    assert message.request == job.request


def test_a_repeated_request_uploads_nothing_more(world: SimpleNamespace) -> None:
    first = submit(world, make(), "key")
    again = submit(world, make(), "key")
    assert again.id == first.id
    assert len(world.uploads.bodies) == 1


def test_another_callers_upload_is_not_found(world: SimpleNamespace) -> None:
    key = upload_key(OTHER, UPLOAD_ID)
    world.uploads.items[key] = StoredUpload(key, "image/png", 9)
    with pytest.raises(UploadNotFoundError):
        submit(world, make({"upload": UPLOAD_ID}))
    assert world.jobs.items == {}


@pytest.mark.parametrize(
    ("content_type", "size"), [("text/csv", 9), ("image/png", MAX_TOY_BYTES + 1)]
)
def test_an_upload_that_the_task_does_not_take_is_refused(
    world: SimpleNamespace, content_type: str, size: int
) -> None:
    key = upload_key(OWNER, UPLOAD_ID)
    world.uploads.items[key] = StoredUpload(key, content_type, size)
    with pytest.raises(InvalidRequestError) as caught:
        submit(world, make({"upload": UPLOAD_ID}))
    assert caught.value.errors[0].field == "inputs.image"


def test_a_model_that_nobody_serves_is_refused(world: SimpleNamespace) -> None:
    with pytest.raises(UnknownModelError):
        submit(world, make(model="nobody"))


def test_files_and_report_are_published_before_the_job_succeeds(world: SimpleNamespace) -> None:
    job = submit(world, make())
    assert record(world, job, answer()) is Outcome.SUCCEEDED
    shown = JobPresenter(world.signer, world.clock).present(world.jobs.get(job.id))
    assert shown.state is JobState.SUCCEEDED
    assert shown.task == "segment"
    assert shown.report == {"area": 9}
    assert [(file.name, file.media_type, file.bytes) for file in shown.files] == [
        ("report.json", "application/json", 10),
        ("mask.png", "image/png", 4),
        ("page.html", "text/html", 3),
    ]
    mask = shown.files[1]
    assert mask.sha256 == hashlib.sha256(b"mask").hexdigest()
    assert mask.url == f"https://cdn/results/{job.id}/mask.png?signed"
    assert world.objects.items[f"results/{job.id}/mask.png"] == b"mask"
    # What a browser could run beside the console is kept, never shown.
    assert world.objects.downloads == {
        f"results/{job.id}/report.json": "report.json",
        f"results/{job.id}/page.html": "page.html",
    }


def test_a_long_report_is_a_file_only(world: SimpleNamespace) -> None:
    job = submit(world, make())
    assert record(world, job, answer(report={"text": "x" * 200_000})) is Outcome.SUCCEEDED
    shown = JobPresenter(world.signer, world.clock).present(world.jobs.get(job.id))
    assert shown.report is None
    assert shown.files[0].bytes > 200_000


def test_lists_leave_the_report_out(world: SimpleNamespace) -> None:
    job = submit(world, make())
    record(world, job, answer())
    shown = JobPresenter(world.signer, world.clock).present_listed(world.jobs.get(job.id))
    assert shown.report is None
    assert shown.files


def test_files_of_a_job_cancelled_meanwhile_are_removed(world: SimpleNamespace) -> None:
    job = submit(world, make())

    def cancel(_key: str) -> None:
        world.objects.on_put = None
        world.service.cancel(OWNER, job.id)

    world.objects.on_put = cancel
    assert record(world, job, answer()) is Outcome.IGNORED
    assert not [key for key in world.objects.items if key.startswith("results/")]


@pytest.mark.parametrize("name", ["../../index.html", "a/b.png", "no-ending", ".hidden.png"])
def test_an_answer_whose_file_would_leave_its_folder_fails_the_job(
    world: SimpleNamespace, name: str
) -> None:
    job = submit(world, make())
    files = [{"name": name, "media_type": "image/png", "data": "AAAA"}]
    assert record(world, job, answer(files=files)) is Outcome.FAILED


OFFERS = LaneOffers(
    lanes=(
        LaneOffer(lane=Lane.LAMBDA, max_pixel_steps=1_000),
        LaneOffer(lane=Lane.REALTIME, max_pixels=1_000),
        LaneOffer(lane=Lane.ASYNC),
    )
)


@pytest.mark.parametrize("waiting", [True, False])
def test_a_task_of_unknown_size_takes_the_lane_without_limits(
    world: SimpleNamespace, waiting: bool
) -> None:
    policy = world.submitter.policy
    object.__setattr__(policy, "lanes", OFFERS)
    submitter = world.submitter
    assert submitter.submit(OWNER, make(), None, waiting=waiting).job.lane is Lane.ASYNC
    assert submitter.submit(OWNER, make(lane="lambda"), None).job.lane is Lane.LAMBDA
    with pytest.raises(LaneUnavailableError):
        submitter.submit(OWNER, make(lane="realtime"), None)

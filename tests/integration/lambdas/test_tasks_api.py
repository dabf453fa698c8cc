"""A task through the functions and moto: upload, job, dispatch, answer, files."""

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from nvfp4_ddim_contracts import Job, Upload
from nvfp4_ddim_contracts.invocations import InvocationRequest
from nvfp4_ddim_contracts.keys import job_input_key, upload_key
from nvfp4_ddim_contracts.task_list import TaskList
from tests.integration.lambdas.conftest import OWNER, RESULTS
from tests.support_tasks import TOY_MODEL, install_toy

JOBS = "/v1/jobs"
PNG = b"a picture"
ANSWER = {
    "task": "segment",
    "report": {"area": 9, "share": 0.25},
    "files": [
        {"name": "mask.png", "media_type": "image/png", "data": base64.b64encode(b"m").decode()},
        {"name": "mask.npy", "media_type": "application/x-npy", "data": "AAAA"},
    ],
    "provenance": {
        "model": TOY_MODEL,
        "artifact_sha256": "ab" * 32,
        "preset": "fast",
        "num_inference_steps": 10,
        "seed": 7,
        "execution_path": "cpu/fp32",
        "library_version": "0.1.0",
    },
    "timings": {"queue_seconds": 0, "generate_seconds": 1, "encode_seconds": 0},
}


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    install_toy(monkeypatch)


def upload(world: SimpleNamespace, data: bytes = PNG) -> str:
    body = {"content_type": "image/png", "size_bytes": len(data)}
    place = Upload.model_validate(world.invoke("create_upload", "/v1/uploads", body=body).body)
    sent = requests.post(place.url, data=place.fields, files={"file": data}, timeout=5)
    assert sent.status_code == 204
    return place.id


def body_for(file: dict[str, str], **rest: Any) -> dict[str, Any]:
    return {"task": "segment", "inputs": {"image": file}, "preset": "fast", "seed": 7, **rest}


def test_from_an_upload_to_files(world: SimpleNamespace, cloud: SimpleNamespace) -> None:
    upload_id = upload(world)
    answer = world.invoke("create_job", JOBS, body=body_for({"upload": upload_id}))
    assert answer.status == 202, answer.body
    job = Job.model_validate(answer.body)
    assert (job.task, job.request.model) == ("segment", TOY_MODEL)

    world.dispatch()
    stored = cloud.s3.get_object(Bucket=RESULTS, Key=job_input_key(job.id, 1))["Body"].read()
    handed = InvocationRequest.model_validate_json(stored)
    assert handed.upload_keys == {upload_id: upload_key(OWNER, upload_id)}

    world.notify(job.id, answer=json.dumps(ANSWER).encode())
    done = Job.model_validate(world.invoke("get_job", f"{JOBS}/{job.id}", job_id=job.id).body)
    assert done.report == {"area": 9, "share": 0.25}
    assert [file.name for file in done.files] == ["report.json", "mask.png", "mask.npy"]
    assert all(file.url.startswith("https://cdn.example/results/") for file in done.files)
    mask = cloud.s3.head_object(Bucket=RESULTS, Key=f"results/{job.id}/mask.png")
    assert mask["ContentType"] == "image/png"
    assert "ContentDisposition" not in mask
    array = cloud.s3.head_object(Bucket=RESULTS, Key=f"results/{job.id}/mask.npy")
    assert array["ContentDisposition"] == 'attachment; filename="mask.npy"'
    listed = world.invoke("list_jobs", JOBS).body["jobs"][0]
    assert listed["report"] is None
    assert listed["files"]


def test_a_file_inside_the_request_lies_beside_the_uploads(
    world: SimpleNamespace, cloud: SimpleNamespace
) -> None:
    data = base64.b64encode(PNG).decode()
    job = Job.model_validate(world.invoke("create_job", JOBS, body=body_for({"data": data})).body)
    (entry,) = cloud.s3.list_objects_v2(Bucket=RESULTS, Prefix=f"uploads/{OWNER}/")["Contents"]
    assert cloud.s3.get_object(Bucket=RESULTS, Key=entry["Key"])["Body"].read() == PNG
    assert json.loads(job.model_dump_json())["request"]["inputs"]["image"]["data"] is None


def test_nobody_uses_anothers_upload(world: SimpleNamespace) -> None:
    body = body_for({"upload": upload(world)})
    answer = world.invoke("create_job", JOBS, body=body, owner="f" * 16)
    assert answer.status == 404
    assert "upload" in answer.body["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"inputs": {}}, "inputs.image"),
        ({"parameters": {"samples": 9}}, "parameters.samples"),
        ({"prompt": "a pear"}, "prompt"),
        ({"task": "juggle"}, "task"),
        ({"inputs": {"image": {"upload": "../../keys"}}}, "inputs.image.upload"),
        ({"upload_keys": {"ab" * 16: "async/input/x.json"}}, "upload_keys"),
    ],
)
def test_a_wrong_field_is_named(world: SimpleNamespace, change: dict[str, Any], field: str) -> None:
    answer = world.invoke("create_job", JOBS, body=body_for({"data": "AAAA"}) | change)
    assert answer.status == 400
    assert [error["field"] for error in answer.body["errors"]] == [field]


def test_tasks_are_listed_with_their_schemas(world: SimpleNamespace) -> None:
    tasks = TaskList.model_validate(world.invoke("list_tasks", "/v1/tasks").body)
    toy = next(task for task in tasks.data if task.model == TOY_MODEL)
    assert toy.inputs[1].required is False
    assert toy.report["properties"]

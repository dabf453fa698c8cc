"""Every task through the deployed API, and one through a batch."""

import base64
import hashlib
import io
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image

from local.deploy import Deployment
from nvfp4_ddim_contracts import Job
from nvfp4_ddim_contracts.task_list import TaskList, list_tasks
from nvfp4_ddim_contracts.tasks import TASKS, TaskName, TaskProvenance, TaskSpec
from tests.e2e.test_batch import Batches, batches
from tests.support_samples import Sample, samples_for

__all__ = ["batches"]

pytestmark = pytest.mark.e2e

PICTURES = {"image/png", "image/jpeg", "image/webp"}
Finished = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    """Files that tasks have made, for those that take no others."""
    return {}


def upload(api: httpx.Client, sample: Sample) -> str:
    body = {"content_type": sample.media_type, "size_bytes": len(sample.data)}
    place = api.post("/v1/uploads", json=body)
    assert place.status_code == 201, place.text
    form = place.json()
    files = {"file": (sample.name, sample.data)}
    sent = httpx.post(form["url"], data=form["fields"], files=files, trust_env=False)
    assert sent.status_code == 204, sent.text
    return str(form["id"])


def download(url: str) -> bytes:
    answer = httpx.get(url, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.content


def submit(api: httpx.Client, spec: TaskSpec, inputs: dict[str, Any], **rest: Any) -> str:
    body = {"task": spec.name, "inputs": inputs, "preset": "fast", "seed": 7, **rest}
    answer = api.post("/v1/jobs", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.json()["task"] == spec.name
    return str(answer.json()["id"])


def test_tasks_are_listed_as_the_contracts_have_them(api: httpx.Client) -> None:
    assert TaskList.model_validate(api.get("/v1/tasks").json()) == list_tasks()


@pytest.mark.parametrize("name", list(TASKS))
def test_a_task_answers(
    api: httpx.Client, finished: Finished, made: dict[str, bytes], name: TaskName
) -> None:
    spec = TASKS[name]
    samples = samples_for(spec, made)
    assert set(samples) >= {slot.name for slot in spec.inputs if slot.required}
    inputs = {slot: {"upload": upload(api, sample)} for slot, sample in samples.items()}
    job = Job.model_validate(finished(submit(api, spec, inputs)))
    assert job.state == "succeeded", job.error
    assert job.progress.step == job.progress.total_steps
    spec.report.model_validate(job.report)
    assert isinstance(job.provenance, TaskProvenance)
    assert (job.provenance.model, job.provenance.seed) == (spec.model, 7)
    assert len(job.files) >= 1
    for file in job.files:
        data = download(file.url)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.bytes, file.sha256)
        made.setdefault(file.name, data)
        if file.media_type in PICTURES:
            with Image.open(io.BytesIO(data)) as image:
                image.load()
        if file.name == "report.json":
            spec.report.model_validate_json(data)


@pytest.mark.skipif(not TASKS, reason="there is no task")
def test_a_file_inside_the_request_and_one_that_is_no_picture(
    api: httpx.Client, finished: Finished
) -> None:
    spec = next(iter(TASKS.values()))
    text = base64.b64encode(b"this is no file of that kind").decode()
    inputs = {slot.name: {"data": text} for slot in spec.inputs if slot.required}
    job = finished(submit(api, spec, inputs))
    assert job["state"] == "failed"
    assert job["error"]["status"] == 422
    assert job["error"]["errors"][0]["field"] == "inputs"
    assert job["attempt"] == 1
    body = {"task": spec.name, "inputs": {}}
    refused = api.post("/v1/jobs", json=body).json()
    assert {error["field"] for error in refused["errors"]} >= {
        f"inputs.{slot.name}" for slot in spec.inputs if slot.required
    }


@pytest.mark.skipif(not TASKS, reason="there is no task")
def test_an_upload_is_its_owners(
    api: httpx.Client,
    deployment: Deployment,
    another_key: Callable[[], Any],
) -> None:
    spec = next(iter(TASKS.values()))
    inputs = {slot: {"upload": upload(api, sample)} for slot, sample in samples_for(spec).items()}
    with another_key() as key:
        answer = httpx.post(
            f"{deployment.api_url}/v1/jobs",
            json={"task": spec.name, "inputs": inputs},
            headers={"x-api-key": key},
            trust_env=False,
        )
    assert answer.status_code == 404
    assert "upload" in answer.json()["detail"]


def test_a_folder_of_files_with_a_task_becomes_results(
    batches: Batches, aws: Callable[[str], Any]
) -> None:
    specs = (spec for spec in TASKS.values() if sum(slot.required for slot in spec.inputs) == 1)
    spec = next(specs, None)
    if spec is None:
        pytest.skip("there is no task of one file")
    (sample,) = samples_for(spec).values()
    s3 = aws("s3")
    for name in (f"first.{sample.name.rpartition('.')[2]}", f"photos/{sample.name}"):
        s3.put_object(Bucket=batches.bucket, Key=f"batches/folder/{name}", Body=sample.data)
    s3.put_object(Bucket=batches.bucket, Key="batches/folder/notes.txt", Body=b"not for the task")
    task = json.dumps({"task": spec.name, "preset": "fast", "seed": 7})
    begun = time.monotonic()
    ended = batches.drop("batches/folder/task.json", task)
    assert ended["status"] == "SUCCEEDED", ended
    summary = json.loads(batches.read("batches/folder/summary.json"))
    assert summary["states"] == {"succeeded": 2}
    assert 0 < summary["busy_seconds"] < time.monotonic() - begun
    index = batches.lines("batches/folder/index.jsonl")
    assert index[0]["id"] == "first"
    page = batches.read("batches/folder/index.html").decode()
    for entry in index:
        assert len(entry["files"]) >= 1
        for file in entry["files"]:
            assert file["key"].startswith(f"results/{entry['id']}/")
            data = batches.read(f"batches/folder/{file['key']}")
            assert hashlib.sha256(data).hexdigest() == file["sha256"]
            assert f'href="{file["key"]}"' in page

    again = batches.drop("batches/folder/task.json", task)
    assert again["status"] == "SUCCEEDED", again
    assert json.loads(batches.read("batches/folder/summary.json"))["reused"] == 2

"""Requests of tasks: files, models, progress, cancelling and the answer's forms."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from nvfp4_ddim_contracts.keys import job_attributes
from nvfp4_ddim_contracts.tasks import TaskResult
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_server.ports import StoredArtifact, StoredInput
from tests.support_tasks import MAX_TOY_BYTES, TOY_MODEL, install_toy

from .conftest import FakePipeline, RecordingSink

JOB_ID = "ab" * 16
UPLOAD_ID = "cd" * 16
UPLOAD_KEY = f"uploads/somebody/{UPLOAD_ID}"
PNG = b"a picture"


class FakeInputs:
    def __init__(self, content_type: str = "image/png") -> None:
        self.items = {UPLOAD_KEY: StoredInput(PNG, content_type)}
        self.reads: list[str] = []

    def read(self, key: str, limit_bytes: int) -> StoredInput | None:
        assert limit_bytes == MAX_TOY_BYTES
        self.reads.append(key)
        return self.items.get(key)


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    install_toy(monkeypatch)


@pytest.fixture
def toy() -> FakePipeline:
    return FakePipeline(model_name=TOY_MODEL, artifact_sha256="b" * 64, tasks=("segment",))


@pytest.fixture
def server(make_client: Callable[..., TestClient], toy: FakePipeline) -> Callable[..., TestClient]:
    """A server whose own model paints; the toy's comes with the library."""
    place = StoredArtifact("b" * 64, Path("toy"), 10)

    def make(**rest: Any) -> TestClient:
        found = {TOY_MODEL: place}
        return make_client(load_artifact=lambda _directory: toy, bundled=found.get, **rest)

    return make


def ask(data: bytes | None = PNG, **rest: Any) -> dict[str, Any]:
    given = {} if data is None else {"data": base64.b64encode(data).decode()}
    return {"task": "segment", "inputs": {"image": given or {"upload": UPLOAD_ID}}, **rest}


def test_a_task_goes_to_its_own_model_and_answers_with_files(
    server: Callable[..., TestClient], toy: FakePipeline
) -> None:
    body = ask(seed=3, preset="fast", parameters={"samples": 2})
    answer = server().post("/invocations", json=body)
    assert answer.status_code == 200, answer.text
    result = TaskResult.model_validate_json(answer.content)
    assert result.report == {"area": len(PNG)}
    assert [(file.name, file.data) for file in result.files] == [
        ("mask.png", b"mask:" + PNG),
        ("areas.csv", b"area\n"),
    ]
    assert result.provenance.model == TOY_MODEL
    assert result.provenance.artifact_sha256 == "b" * 64
    assert result.provenance.seed == 3
    assert toy.calls == [
        {"task": "segment", "inputs": {"image": PNG}, "num_inference_steps": 10, "seed": 3}
    ]


def test_an_upload_is_read_by_the_key_that_was_handed_over(
    server: Callable[..., TestClient],
) -> None:
    inputs = FakeInputs()
    client = server(inputs=inputs)
    body = ask(None, upload_keys={UPLOAD_ID: UPLOAD_KEY})
    result = TaskResult.model_validate_json(client.post("/invocations", json=body).content)
    assert result.report == {"area": len(PNG)}
    assert inputs.reads == [UPLOAD_KEY]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "handed no upload"),
        ({UPLOAD_ID: f"uploads/other/{'ee' * 16}"}, "not there any more"),
        ({UPLOAD_ID: "async/input/secret.json"}, "should match pattern"),
        ({UPLOAD_ID: f"uploads/a/../{UPLOAD_ID}"}, "should match pattern"),
    ],
)
def test_no_file_is_looked_for_elsewhere(
    server: Callable[..., TestClient], keys: dict[str, str], message: str
) -> None:
    inputs = FakeInputs()
    answer = server(inputs=inputs).post("/invocations", json=ask(None, upload_keys=keys))
    assert answer.status_code == 422
    assert message in answer.text
    assert UPLOAD_KEY not in inputs.reads


def test_a_file_of_another_type_is_refused(server: Callable[..., TestClient]) -> None:
    client = server(inputs=FakeInputs("text/csv"))
    answer = client.post("/invocations", json=ask(None, upload_keys={UPLOAD_ID: UPLOAD_KEY}))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "inputs.image"


def test_a_file_that_is_too_large_is_refused(server: Callable[..., TestClient]) -> None:
    answer = server().post("/invocations", json=ask(b"x" * (MAX_TOY_BYTES + 1)))
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:nvfp4-ddim:problem:payload-too-large"


def test_a_model_that_does_another_task_says_so(server: Callable[..., TestClient]) -> None:
    answer = server().post("/invocations", json=ask(model="fake-model"))
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "model", "message": "fake-model can't segment"}]


def test_an_unknown_model_is_404(server: Callable[..., TestClient]) -> None:
    assert server().post("/invocations", json=ask(model="nobody")).status_code == 404


def test_what_the_library_refuses_is_the_requests_fault(
    server: Callable[..., TestClient], toy: FakePipeline
) -> None:
    toy.error = InvalidInputError("no picture at all")
    answer = server().post("/invocations", json=ask())
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "inputs", "message": "no picture at all"}]


@pytest.mark.parametrize(
    ("accept", "media_type", "body"),
    [
        ("image/png", "image/png", b"mask:" + PNG),
        ("text/csv, application/json;q=0.5", "text/csv", b"area\n"),
        ("*/*", "application/json", None),
    ],
)
def test_one_file_may_be_had_bare(
    server: Callable[..., TestClient], accept: str, media_type: str, body: bytes | None
) -> None:
    answer = server().post("/invocations", json=ask(seed=9), headers={"accept": accept})
    assert answer.headers["content-type"].startswith(media_type)
    if body is not None:
        assert answer.content == body
        assert answer.headers["x-nvfp4-ddim-seed"] == "9"


def test_nothing_acceptable_is_406(server: Callable[..., TestClient]) -> None:
    answer = server().post("/invocations", json=ask(), headers={"accept": "audio/mpeg"})
    assert answer.status_code == 406


def test_progress_is_of_the_whole_run(
    server: Callable[..., TestClient], sink: RecordingSink, wait_until: Callable[..., None]
) -> None:
    headers = {"X-Amzn-SageMaker-Custom-Attributes": job_attributes(JOB_ID)}
    assert server().post("/invocations", json=ask(), headers=headers).status_code == 200
    wait_until(lambda: sink.reports and sink.reports[-1][1:] == (6, 6))


def test_a_cancelled_job_stops(
    server: Callable[..., TestClient], toy: FakePipeline, sink: RecordingSink
) -> None:
    headers = {"X-Amzn-SageMaker-Custom-Attributes": job_attributes(JOB_ID)}
    client = server()
    toy.gate.clear()
    sink.wanted = False
    with ThreadPoolExecutor() as pool:
        running = pool.submit(client.post, "/invocations", json=ask(), headers=headers)
        answer = running.result(10)
    toy.gate.set()
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:nvfp4-ddim:problem:cancelled"


def test_a_server_whose_own_model_does_a_task_starts_and_does_not_paint(
    make_client: Callable[..., TestClient], toy: FakePipeline
) -> None:
    client = make_client(load=lambda: toy, bundled=lambda _name: None)
    assert toy.calls == []
    assert client.post("/invocations", json=ask()).status_code == 200
    answer = client.post("/invocations", content=json.dumps({"prompt": "a pear"}))
    assert answer.status_code == 422

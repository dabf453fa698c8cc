import base64
import io
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import Image

from nvfp4_ddim_contracts import GenerationResult, Problem, ProblemType
from nvfp4_ddim_contracts.keys import job_attributes

JOB = "0123456789abcdef" * 2
ATTRIBUTES = {"X-Amzn-SageMaker-Custom-Attributes": job_attributes(JOB)}
PEAR = {"prompt": "a pear", "seed": 5, "preset": "fast"}


def problem(response: Any, status: int, kind: ProblemType) -> Problem:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    parsed = Problem.model_validate_json(response.content)
    assert (parsed.status, parsed.type) == (status, kind)
    return parsed


def test_json_answer(make_client: Any, pipeline: Any) -> None:
    response = make_client().post("/invocations", json=PEAR | {"num_images": 2})
    assert response.headers["content-type"] == "application/json"
    result = GenerationResult.model_validate_json(response.content)
    assert [image.seed for image in result.images] == [5, 6]
    picture = Image.open(io.BytesIO(result.images[1].data))
    assert picture.getpixel((0, 0)) == (6, 0, 7)
    assert json.loads(picture.info["Description"])["seed"] == 6
    provenance = result.provenance
    assert provenance.model == pipeline.model_name
    assert provenance.artifact_sha256 == pipeline.artifact_sha256
    assert (provenance.seed, provenance.num_inference_steps) == (5, 10)
    assert result.timings.generate_seconds >= 0


@pytest.mark.parametrize("told", [None, "ml.g6.xlarge"])
def test_an_answer_names_the_machine_that_the_server_was_told(make_client: Any, told: Any) -> None:
    answer = make_client(instance_type=told).post("/invocations", json=PEAR)
    assert GenerationResult.model_validate_json(answer.content).instance_type == told


def test_json_data_is_plain_base64(make_client: Any) -> None:
    data = make_client().post("/invocations", json=PEAR).json()["images"][0]["data"]
    assert base64.b64decode(data, validate=True).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["png", "webp", "jpeg"])
def test_bare_picture_with_provenance_headers(make_client: Any, name: str) -> None:
    response = make_client().post("/invocations", json=PEAR, headers={"Accept": f"image/{name}"})
    assert response.headers["content-type"] == f"image/{name}"
    assert Image.open(io.BytesIO(response.content)).format == name.upper()
    assert response.headers["X-NVFP4-DDIM-Seed"] == "5"
    assert response.headers["X-NVFP4-DDIM-Artifact-Sha256"] == "a" * 64
    assert response.headers["X-NVFP4-DDIM-Preset"] == "fast"
    assert float(response.headers["X-NVFP4-DDIM-Generate-Seconds"]) >= 0


def test_same_request_same_bytes(make_client: Any) -> None:
    client = make_client()
    answers = [
        client.post("/invocations", json=PEAR, headers={"Accept": "image/png"}) for _ in range(2)
    ]
    assert answers[0].content == answers[1].content


def test_a_seed_drawn_at_random_is_reported_and_works_again(make_client: Any) -> None:
    client = make_client()
    first = client.post("/invocations", json={"prompt": "a pear"}).json()
    again = client.post(
        "/invocations", json={"prompt": "a pear", "seed": first["provenance"]["seed"]}
    ).json()
    assert first["images"] == again["images"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": "  "}, "prompt"),
        ({"prompt": "x" * 10_000}, "prompt"),
        ({"prompt": "x", "preset": "turbo"}, "preset"),
        ({"prompt": "x", "width": 12}, "width"),
        ({"prompt": "x", "num_inference_steps": 0}, "num_inference_steps"),
        ({"prompt": "x", "sampler": "euler"}, "sampler"),
        ([], "body"),
    ],
)
def test_invalid_fields(make_client: Any, body: Any, field: str) -> None:
    answer = problem(
        make_client().post("/invocations", json=body), 422, ProblemType.INVALID_REQUEST
    )
    assert [error.field for error in answer.errors] == [field]


@pytest.mark.parametrize("body", [b"", b"{", b"prompt=x", b'{"prompt": "\xff"}'])
def test_not_json(make_client: Any, body: bytes) -> None:
    response = make_client().post("/invocations", content=body)
    problem(response, 400, ProblemType.INVALID_REQUEST)


def test_limits_of_this_server(make_client: Any) -> None:
    client = make_client(max_steps=5, max_pixels=1024)
    answer = client.post("/invocations", json={"prompt": "x", "width": 64, "height": 64})
    fields = [error.field for error in problem(answer, 422, ProblemType.INVALID_REQUEST).errors]
    assert fields == ["num_inference_steps", "width", "height"]


def test_the_pipelines_own_refusal(make_client: Any, pipeline: Any) -> None:
    from nvfp4_ddim_optimizer.errors import InvalidInputError

    client = make_client()
    pipeline.error = InvalidInputError("height must be a multiple of 64 for this model")
    answer = client.post("/invocations", json=PEAR)
    assert "multiple of 64" in problem(answer, 422, ProblemType.INVALID_REQUEST).detail


def test_body_too_large_declared_and_streamed(make_client: Any) -> None:
    client = make_client(max_body_bytes=1024)
    large = b"x" * 2000
    problem(client.post("/invocations", content=large), 413, ProblemType.PAYLOAD_TOO_LARGE)
    chunks = iter([large[:1000], large[1000:]])
    problem(client.post("/invocations", content=chunks), 413, ProblemType.PAYLOAD_TOO_LARGE)


def test_wrong_media_types(make_client: Any) -> None:
    client = make_client()
    answer = client.post("/invocations", content=b"x", headers={"Content-Type": "text/plain"})
    problem(answer, 415, ProblemType.UNSUPPORTED_MEDIA_TYPE)
    answer = client.post("/invocations", json=PEAR, headers={"Accept": "text/html"})
    problem(answer, 406, ProblemType.NOT_ACCEPTABLE)


def test_another_model(make_client: Any) -> None:
    answer = make_client().post("/invocations", json=PEAR | {"model": "other"})
    assert "fake-model" in problem(answer, 404, ProblemType.NOT_FOUND).detail


def test_unknown_paths_and_methods(make_client: Any) -> None:
    client = make_client()
    problem(client.get("/nowhere"), 404, ProblemType.NOT_FOUND)
    answer = client.get("/invocations")
    problem(answer, 405, ProblemType.INVALID_REQUEST)
    assert answer.headers["allow"] == "POST"


def test_not_ready_while_loading(make_client: Any, pipeline: Any, wait_until: Any) -> None:
    loaded = threading.Event()

    def load() -> Any:
        loaded.wait(10)
        return pipeline

    client = make_client(load=load, wait=False)
    for answer in (client.get("/ping"), client.post("/invocations", json=PEAR)):
        problem(answer, 503, ProblemType.NOT_READY)
        assert int(answer.headers["retry-after"]) >= 1
    loaded.set()
    wait_until(lambda: client.get("/ping").status_code == 200)


def test_not_ready_before_the_warm_up_is_painted(
    make_client: Any, pipeline: Any, wait_until: Any
) -> None:
    pipeline.gate.clear()
    client = make_client(wait=False)
    assert pipeline.stepping.wait(5)
    problem(client.get("/ping"), 503, ProblemType.NOT_READY)
    pipeline.gate.set()
    wait_until(lambda: client.get("/ping").status_code == 200)


def test_a_model_that_does_not_load_is_named_by_ping(make_client: Any, wait_until: Any) -> None:
    def load() -> Any:
        raise ValueError("unet/model.safetensors is truncated")

    client = make_client(load=load, wait=False)
    wait_until(lambda: "truncated" in client.get("/ping").text)
    problem(client.get("/ping"), 503, ProblemType.NOT_READY)


def test_ping_and_the_full_queue_answer_while_work_runs(make_client: Any, pipeline: Any) -> None:
    client = make_client(queue_size=0)
    pipeline.gate.clear()
    pipeline.stepping.clear()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(client.post, "/invocations", json=PEAR)
        assert pipeline.stepping.wait(5)
        begun = time.monotonic()
        assert client.get("/ping").status_code == 200
        assert time.monotonic() - begun < 1
        answer = client.post("/invocations", json=PEAR)
        problem(answer, 429, ProblemType.OVERLOADED)
        assert int(answer.headers["retry-after"]) >= 1
        pipeline.gate.set()
        assert running.result(5).status_code == 200


def test_timeout_stops_the_sampler(make_client: Any, pipeline: Any) -> None:
    client = make_client(request_timeout_seconds=0.1)
    pipeline.gate.clear()
    answer = client.post("/invocations", json=PEAR, headers=ATTRIBUTES)
    assert problem(answer, 504, ProblemType.TIMED_OUT).instance == JOB
    pipeline.gate.set()
    assert client.post("/invocations", json=PEAR).status_code == 200


def test_job_progress_is_reported_from_first_to_last(
    make_client: Any, sink: Any, wait_until: Any
) -> None:
    client = make_client()
    assert client.post("/invocations", json=PEAR, headers=ATTRIBUTES).status_code == 200
    wait_until(lambda: sink.reports[-1:] == [(JOB, 10, 10)])
    assert sink.reports[0][0] == JOB


def test_a_request_that_is_no_job_reports_nothing(make_client: Any, sink: Any) -> None:
    make_client().post("/invocations", json=PEAR)
    assert sink.reports == []


def test_a_cancelled_job_is_stopped(make_client: Any, pipeline: Any, sink: Any) -> None:
    client = make_client()
    sink.wanted = False
    pipeline.gate.clear()
    answer = client.post("/invocations", json=PEAR, headers=ATTRIBUTES)
    assert JOB in problem(answer, 409, ProblemType.CANCELLED).detail
    pipeline.gate.set()


def test_an_error_in_the_pipeline(make_client: Any, pipeline: Any) -> None:
    client = make_client()
    pipeline.error = RuntimeError("secret path")
    answer = client.post("/invocations", json=PEAR)
    assert "secret" not in problem(answer, 500, ProblemType.INFERENCE_FAILED).detail
    pipeline.error = None
    assert client.post("/invocations", json=PEAR).status_code == 200


def test_one_log_line_a_request_without_the_prompt(
    make_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client()
    with caplog.at_level(logging.INFO, logger="nvfp4_ddim_server"):
        client.post("/invocations", json=PEAR | {"prompt": "my secret"}, headers=ATTRIBUTES)
        client.post("/invocations", json={"prompt": "my secret", "preset": "turbo"})
    lines = [record.__dict__["fields"] for record in caplog.records if record.msg == "request"]
    assert [line["status"] for line in lines] == [200, 422]
    assert lines[0]["job_id"] == JOB
    assert lines[0]["num_inference_steps"] == 10
    assert lines[0]["artifact_sha256"] == "a" * 64
    assert lines[0]["seconds"] >= lines[0]["generate_seconds"]
    assert lines[1]["error"] == "InvalidFieldsError"
    assert "my secret" not in json.dumps(lines)

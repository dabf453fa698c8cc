"""The container's contract, over HTTP, as SageMaker sees it."""

import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageChops

from nvfp4_ddim_contracts import GenerationResult, Problem, ProblemType, Provenance
from nvfp4_ddim_contracts.keys import job_attributes
from nvfp4_ddim_optimizer import OptimizationPipeline

PEAR = {"prompt": "a pear", "seed": 5, "preset": "fast"}
# Seconds on an idle machine, so that there is time to do something while it runs.
LONG = {"prompt": "a pear", "seed": 5, "num_inference_steps": 150}
LONGER = LONG | {"num_inference_steps": 600}
ENDLESS = {"prompt": "a pear", "seed": 5, "num_inference_steps": 1000, "num_images": 4}
JOB = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def busy_server(start_server: Any, artifact: Path) -> Any:
    """A ready server that takes one request at a time and lets none wait."""
    return start_server(artifact, SERVER_QUEUE_SIZE="0").wait_until_ready()


def paint(server: Any, body: dict[str, Any], **headers: str) -> httpx.Response:
    response: httpx.Response = server.client.post("/invocations", json=body, headers=headers)
    return response


def paint_once_accepted(server: Any, body: dict[str, Any]) -> httpx.Response:
    """As `paint`, but come back while another request has the place."""
    deadline = time.monotonic() + 30
    while (response := paint(server, body)).status_code == 429:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return response


def requests_logged(server: Any) -> list[dict[str, Any]]:
    return [event for event in server.events if event["event"] == "request"]


def wait_for_requests_logged(server: Any, count: int) -> list[dict[str, Any]]:
    """The logged requests once there are `count`: a line may come after its answer."""
    deadline = time.monotonic() + 30
    while len(logged := requests_logged(server)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return logged


def wait_until_steps_run(server: Any) -> None:
    """Until a second request is refused, so the only place is taken."""
    deadline = time.monotonic() + 30
    while paint(server, {"prompt": "x", "num_inference_steps": 1}).status_code != 429:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_json_in_json_out(server: Any, artifact: Path) -> None:
    response = paint(server, PEAR | {"num_images": 2}, Accept="application/json")
    assert response.status_code == 200
    result = GenerationResult.model_validate_json(response.content)
    provenance = result.provenance
    assert provenance.model == "tiny-test"
    assert provenance.num_inference_steps == 10
    assert provenance.guidance_scale == 2.0
    assert [image.seed for image in result.images] == [5, 6]
    assert all((image.width, image.height) == (64, 64) for image in result.images)
    first, second = (Image.open(io.BytesIO(image.data)) for image in result.images)
    assert ImageChops.difference(first, second).getbbox() is not None


def test_the_server_paints_what_the_library_paints(server: Any, artifact: Path) -> None:
    served = Image.open(io.BytesIO(paint(server, PEAR, Accept="image/png").content))
    pipeline = OptimizationPipeline.from_preset(str(artifact), preset="fast")
    painted = pipeline.generate("a pear", seed=5)
    difference = ImageChops.difference(served, painted)
    # The number of threads may differ, and with it the order of sums.
    assert max(high for _, high in difference.getextrema()) <= 1
    origin = Provenance.model_validate_json(served.info["Description"])
    assert origin.artifact_sha256 == pipeline.artifact_sha256


def test_same_seed_same_bytes_alone_in_company_and_among_several(server: Any) -> None:
    alone = paint(server, PEAR | {"seed": 6}, Accept="image/png").content
    assert paint(server, PEAR | {"seed": 6}, Accept="image/png").content == alone
    together = GenerationResult.model_validate_json(paint(server, PEAR | {"num_images": 2}).content)
    assert together.images[1].data == alone
    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(paint, server, PEAR | {"seed": seed}) for seed in range(3)]
        again = pool.submit(paint, server, PEAR | {"seed": 6}, Accept="image/png")
        assert again.result().content == alone
        assert all(other.result().status_code == 200 for other in others)


def test_guidance_size_eta_and_negative_prompt_have_an_effect(server: Any) -> None:
    plain = paint(server, PEAR, Accept="image/png").content
    for change in ({"guidance_scale": 6.0}, {"eta": 1.0}, {"negative_prompt": "an apple"}):
        assert paint(server, PEAR | change, Accept="image/png").content != plain
    wide = paint(server, PEAR | {"width": 96, "height": 32}, Accept="image/webp")
    assert Image.open(io.BytesIO(wide.content)).size == (96, 32)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"prompt": "x" * 10_000}, 422),
        ({"prompt": "x", "preset": "turbo"}, 422),
        ({"prompt": "x", "model": "other"}, 404),
    ],
)
def test_bad_requests_are_problems(server: Any, body: dict[str, Any], status: int) -> None:
    response = paint(server, body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert Problem.model_validate_json(response.content).status == status


def test_ping_is_fast_while_a_picture_is_painted(server: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(paint, server, LONG)
        slowest = 0.0
        while not running.done():
            begun = time.monotonic()
            assert server.client.get("/ping").status_code == 200
            slowest = max(slowest, time.monotonic() - begun)
            time.sleep(0.02)
        assert running.result().status_code == 200
    assert slowest < 1.0


def test_a_caller_who_leaves_frees_the_worker(busy_server: Any) -> None:
    with pytest.raises(httpx.ReadTimeout):
        busy_server.client.post("/invocations", json=ENDLESS, timeout=0.5)
    deadline = time.monotonic() + 15
    while (response := paint(busy_server, PEAR)).status_code == 429:
        assert time.monotonic() < deadline, "the worker still paints for nobody"
        time.sleep(0.05)
    assert response.status_code == 200
    left = next(line for line in requests_logged(busy_server) if line["status"] == 409)
    assert left["error"] == "ClientGoneError"


def test_a_full_queue_says_when_to_come_back(busy_server: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(paint_once_accepted, busy_server, LONG)
        wait_until_steps_run(busy_server)
        refused = paint(busy_server, PEAR)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["type"] == ProblemType.OVERLOADED
        assert running.result().status_code == 200


def test_sigterm_finishes_what_runs_turns_away_what_waits_and_exits_with_0(
    start_server: Any, artifact: Path
) -> None:
    server = start_server(artifact).wait_until_ready()
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(paint, server, LONGER)
        time.sleep(0.5)
        waiting = pool.submit(paint, server, PEAR)
        time.sleep(0.5)
        begun = time.monotonic()
        server.process.terminate()
        turned_away = waiting.result()
        assert turned_away.status_code == 503
        assert turned_away.json()["type"] == ProblemType.NOT_READY
        assert "retry-after" in turned_away.headers
        assert running.result().status_code == 200
    assert server.wait(30) == 0
    assert time.monotonic() - begun < 30
    with pytest.raises(httpx.ConnectError):
        server.client.get("/ping")


def test_sigterm_while_loading_exits_with_0(start_server: Any, artifact: Path) -> None:
    server = start_server(artifact)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            assert server.client.get("/ping").status_code == 503
            break
        except httpx.ConnectError:
            time.sleep(0.05)
    server.process.terminate()
    assert server.wait(30) == 0


def test_logs_one_json_line_a_request_and_never_the_prompt(server: Any) -> None:
    secret = "zebra " * 40  # far more tokens than the text encoder reads
    headers = {"X-Amzn-SageMaker-Custom-Attributes": job_attributes(JOB)}
    begun = len(requests_logged(server))
    assert paint(server, PEAR | {"prompt": secret}, **headers).status_code == 200
    assert paint(server, {"prompt": secret, "preset": "turbo"}).status_code == 422
    first, second = wait_for_requests_logged(server, begun + 2)[begun:]
    assert (first["status"], first["job_id"], first["num_inference_steps"]) == (200, JOB, 10)
    assert first["seconds"] > 0
    assert second["status"] == 422
    assert "zebra" not in "\n".join(server.log)

"""The jobs API as an app sees it, and what happens when something goes wrong underneath."""

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import httpx
import psutil
import pytest

from local.deploy import Deployment

pytestmark = pytest.mark.e2e

FAST = {"prompt": "red heart", "preset": "fast", "num_inference_steps": 2}
LONG = {"prompt": "red heart", "num_inference_steps": 1000}


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    document: dict[str, Any] = response.json()
    assert document["type"] == f"urn:nvfp4-ddim:problem:{kind}"
    assert document["detail"]
    return document


def test_an_unknown_preset_names_the_field(api: httpx.Client) -> None:
    answer = api.post("/v1/jobs", json={"prompt": "x", "preset": "magic"})
    errors = problem(answer, 400, "invalid-request")["errors"]
    assert errors[0]["field"] == "preset"


def test_a_prompt_that_is_too_long_names_the_limit(api: httpx.Client) -> None:
    answer = api.post("/v1/jobs", json={"prompt": "x" * 10_000})
    errors = problem(answer, 400, "invalid-request")["errors"]
    assert errors[0]["field"] == "prompt"
    assert "2000" in errors[0]["message"]


@pytest.mark.parametrize("headers", [{"x-api-key": "wrong" * 8}, {}], ids=["wrong", "missing"])
def test_without_a_valid_key_nothing_is_served(
    deployment: Deployment, headers: dict[str, str]
) -> None:
    answer = httpx.get(f"{deployment.api_url}/v1/jobs", headers=headers, trust_env=False)
    problem(answer, 401, "unauthorized")


def test_an_unknown_path_is_not_found(api: httpx.Client) -> None:
    problem(api.get("/v1/nothing"), 404, "not-found")


def test_a_preflight_is_answered_for_the_console(deployment: Deployment) -> None:
    answer = httpx.options(
        f"{deployment.api_url}/v1/jobs", headers={"Origin": deployment.cdn_url}, trust_env=False
    )
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == deployment.cdn_url


def test_an_idempotency_key_makes_one_job(
    api: httpx.Client, finished: Callable[[str], dict[str, Any]]
) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    first = api.post("/v1/jobs", json=FAST, headers=headers)
    again = api.post("/v1/jobs", json=FAST, headers=headers)
    other = api.post("/v1/jobs", json={**FAST, "prompt": "blue heart"}, headers=headers)
    assert first.status_code == 202
    assert again.status_code == 200
    assert again.json()["id"] == first.json()["id"]
    problem(other, 422, "idempotency-mismatch")
    assert finished(first.json()["id"])["state"] == "succeeded"


def test_prefer_wait_answers_for_as_long_as_asked_and_blocks_nobody(api: httpx.Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(api.post, "/v1/jobs", json=LONG, headers={"Prefer": "wait=8"})
        time.sleep(1.0)
        began = time.monotonic()
        quick = api.post("/v1/jobs", json=FAST).json()["id"]
        assert time.monotonic() - began < 5
        assert not waiting.done()
        slow = waiting.result()
    assert slow.status_code == 202
    assert slow.headers["preference-applied"] == "wait=8"
    assert api.delete(f"/v1/jobs/{slow.json()['id']}").json()["state"] == "cancelled"
    done = api.post("/v1/jobs", json={**FAST, "seed": 1}, headers={"Prefer": "wait=25"})
    assert done.status_code == 200
    assert done.json()["state"] == "succeeded"
    assert api.get(f"/v1/jobs/{quick}").json()["state"] == "succeeded"


def test_a_running_job_is_cancelled_and_the_next_one_runs(
    api: httpx.Client,
    running_step: Callable[[str], None],
    finished: Callable[[str], dict[str, Any]],
) -> None:
    job = api.post("/v1/jobs", json=LONG).json()["id"]
    running_step(job)
    assert api.delete(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    following = api.post("/v1/jobs", json=FAST).json()["id"]
    assert finished(following)["state"] == "succeeded"
    assert api.get(f"/v1/jobs/{job}").json()["state"] == "cancelled"


def test_jobs_are_listed_page_by_page_newest_first(api: httpx.Client) -> None:
    made = [api.post("/v1/jobs", json=FAST).json()["id"] for _ in range(3)]
    first = api.get("/v1/jobs", params={"limit": 2}).json()
    second = api.get("/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    listed = [job["id"] for job in (*first["jobs"], *second["jobs"])]
    assert listed[:3] == made[::-1]
    assert len(set(listed)) == 4


@pytest.fixture
def stranger(
    deployment: Deployment, another_key: Callable[[], AbstractContextManager[str]]
) -> Iterator[httpx.Client]:
    """Another caller."""
    with (
        another_key() as key,
        httpx.Client(
            base_url=deployment.api_url, headers={"x-api-key": key}, trust_env=False
        ) as client,
    ):
        yield client


def test_a_caller_sees_only_their_own_jobs(api: httpx.Client, stranger: httpx.Client) -> None:
    job = api.post("/v1/jobs", json=FAST).json()["id"]
    problem(stranger.get(f"/v1/jobs/{job}"), 404, "not-found")
    problem(stranger.delete(f"/v1/jobs/{job}"), 404, "not-found")
    assert stranger.get("/v1/jobs").json()["jobs"] == []


def test_a_killed_server_loses_no_job(
    api: httpx.Client,
    running_step: Callable[[str], None],
    finished: Callable[[str], dict[str, Any]],
    server_process: Callable[[], psutil.Process],
) -> None:
    request = {**FAST, "num_inference_steps": 60, "seed": 5}
    job = api.post("/v1/jobs", json=request).json()["id"]
    running_step(job)
    killed = server_process()
    killed.kill()
    ended = finished(job)
    assert ended["state"] == "succeeded", ended
    assert ended["attempt"] == 2
    assert ended["provenance"]["seed"] == 5
    assert server_process().pid != killed.pid

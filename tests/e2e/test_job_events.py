"""Events come through the whole deployed app while the job runs."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest

from local.deploy import Deployment

pytestmark = pytest.mark.e2e

REQUEST = {"prompt": "red heart", "preset": "fast", "num_inference_steps": 40}
Event = dict[str, str]


def events(response: httpx.Response) -> Iterator[Event]:
    """Events as the HTML standard reads them, as far as they are used here."""
    event: Event = {}
    for line in response.iter_lines():
        if not line:
            if "data" in event:
                yield event
            event = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = value


def test_events_arrive_before_the_job_ends(api: httpx.Client) -> None:
    request = {**REQUEST, "preset": "quality", "num_images": 4}
    job_id = api.post("/v1/jobs", json=request).json()["id"]
    seen: list[tuple[Event, str]] = []
    with api.stream("GET", f"/v1/jobs/{job_id}/events", timeout=300) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        for event in events(response):
            seen.append((event, api.get(f"/v1/jobs/{job_id}").json()["state"]))
    names = [event["event"] for event, _ in seen]
    assert names[0] == "state"
    assert names[-1] == "done"
    # Each state is what the job was in when its event had arrived: they came while it ran.
    assert ("progress", "running") in [(event["event"], state) for event, state in seen]
    job = json.loads(seen[-1][0]["data"])
    assert job["state"] == "succeeded"
    assert httpx.get(job["images"][0]["url"], trust_env=False).content.startswith(b"\x89PNG")
    check_cost(job)


def check_cost(job: dict[str, Any]) -> None:
    (attempt,) = job["attempts"]
    assert attempt["started_at"] < attempt["finished_at"]
    busy = job["timings"]["generate_seconds"] + job["timings"]["encode_seconds"]
    estimate = job["cost_estimate"]
    assert estimate["usd"] == pytest.approx(
        busy * estimate["usd_per_hour"] / 3600 + estimate["usd_per_request"]
    )


def test_who_comes_back_misses_nothing_and_hears_nothing_twice(api: httpx.Client) -> None:
    job_id = api.post("/v1/jobs", json=REQUEST).json()["id"]
    ids: list[str] = []
    headers: dict[str, str] = {}
    path = f"/v1/jobs/{job_id}/events"
    for _ in range(500):  # one event a connection
        with api.stream("GET", path, headers=headers, timeout=300) as response:
            if response.status_code == 204:
                break
            event = next(events(response))
        ids.append(event["id"])
        headers = {"Last-Event-ID": event["id"]}
    assert event["event"] == "done"
    assert len(ids) == len(set(ids)) >= 2


def test_another_callers_job_is_not_there(
    api: httpx.Client,
    deployment: Deployment,
    another_key: Callable[[], AbstractContextManager[str]],
) -> None:
    job_id = api.post("/v1/jobs", json={**REQUEST, "num_inference_steps": 2}).json()["id"]
    with another_key() as key:
        answer = httpx.get(
            f"{deployment.api_url}/v1/jobs/{job_id}/events",
            headers={"x-api-key": key},
            trust_env=False,
            timeout=40,
        )
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"

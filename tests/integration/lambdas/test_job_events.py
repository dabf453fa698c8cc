"""Server-sent events of a job in moto, as the streaming runtime would send them."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from nvfp4_ddim_contracts import Job
from nvfp4_ddim_contracts.table import progress_update
from tests.integration.lambdas.conftest import OWNER, TABLE

JOBS = "/v1/jobs"


@pytest.fixture
def follow(world: SimpleNamespace, context: Any) -> Callable[..., Any]:
    """The streamed answer to a request for a job's events."""

    def open_stream(job_id: str, owner: str = OWNER, headers: dict[str, str] | None = None) -> Any:
        event = {
            "path": f"{JOBS}/{job_id}/events",
            "headers": headers,
            "pathParameters": {"job_id": job_id},
            "requestContext": {"requestId": "r1", "authorizer": {"owner": owner}},
        }
        return world.load("stream_job_events")(event, context)

    return open_stream


def events(chunks: Iterator[bytes]) -> Iterator[dict[str, str]]:
    for chunk in chunks:
        lines = chunk.decode().splitlines()
        yield dict(line.split(": ", 1) for line in lines if line)


def test_events_follow_the_table(
    world: SimpleNamespace,
    cloud: SimpleNamespace,
    follow: Callable[..., Any],
    request_body: dict[str, Any],
) -> None:
    job_id = world.invoke("create_job", JOBS, body=request_body).body["id"]
    response = follow(job_id)
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Access-Control-Allow-Origin"] == "https://console.example"
    stream = events(iter(response.chunks))
    assert next(stream) == {"retry": "1000"}
    first = next(stream)
    assert (first["id"], first["event"]) == ("1-queued-0", "state")
    for step in (3, 4):
        now = datetime.now(UTC).isoformat()
        cloud.dynamodb.update_item(TableName=TABLE, **progress_update(job_id, step, 10, now))
        event = next(stream)
        assert event["id"] == f"1-running-{step}"
    assert event["event"] == "progress"
    world.notify(job_id)
    last = next(stream)
    assert last["event"] == "done"
    job = Job.model_validate_json(last["data"])
    assert job.images[0].url.startswith("https://cdn.example/results/")
    assert list(stream) == []
    assert follow(job_id, headers={"Last-Event-ID": last["id"]}).status == 204


def test_nobody_else_may_listen(
    world: SimpleNamespace, follow: Callable[..., Any], request_body: dict[str, Any]
) -> None:
    job_id = world.invoke("create_job", JOBS, body=request_body).body["id"]
    response = follow(job_id, owner="f" * 16)
    assert response.status == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    (body,) = response.chunks
    assert json.loads(body)["type"].endswith("not-found")


def test_a_stream_ends_before_its_function_does(
    world: SimpleNamespace,
    context: Any,
    follow: Callable[..., Any],
    request_body: dict[str, Any],
) -> None:
    context.remaining_milliseconds = 5_500
    job_id = world.invoke("create_job", JOBS, body=request_body).body["id"]
    started = datetime.now(UTC)
    assert [event.get("event") for event in events(iter(follow(job_id).chunks))] == [None, "state"]
    assert (datetime.now(UTC) - started).total_seconds() < 5


def test_a_caller_with_too_many_open_streams_is_told_when_to_come_back(
    world: SimpleNamespace,
    cloud: SimpleNamespace,
    follow: Callable[..., Any],
    request_body: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAX_EVENT_STREAMS_PER_CALLER", "2")
    job_id = world.invoke("create_job", JOBS, body=request_body).body["id"]
    streams = [follow(job_id) for _ in range(2)]
    refused = follow(job_id)
    assert refused.status == 429
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    problem = json.loads(b"".join(refused.chunks))
    assert problem["type"] == "urn:nvfp4-ddim:problem:overloaded"

    chunks = iter(streams[0].chunks)
    next(chunks)
    next(chunks)
    chunks.close()
    again = follow(job_id)
    assert again.status == 200
    world.invoke("cancel_job", JOBS, job_id=job_id)
    for response in (again, streams[1]):
        assert list(events(iter(response.chunks)))[-1]["event"] == "done"
    item = cloud.dynamodb.get_item(TableName=TABLE, Key={"pk": {"S": f"streams#{OWNER}"}})["Item"]
    assert set(item) == {"pk", "expires_at"}

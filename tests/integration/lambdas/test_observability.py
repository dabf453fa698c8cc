"""One id from the caller's request to the stored picture, and metrics of what happened."""

import json
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.adapters import clients
from lambdas.observability import logger
from nvfp4_ddim_contracts.keys import job_id_from_attributes

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lines:
    """What was printed since the last call, which is what CloudWatch gets."""
    # The process's logger may be older than this test's standard output.
    current = SimpleNamespace(
        write=lambda text: sys.stdout.write(text),  # noqa: PLW0108 - looked up at each call
        flush=lambda: sys.stdout.flush(),  # noqa: PLW0108
    )
    monkeypatch.setattr(logger().registered_handler, "stream", current)

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return read


def _values(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Metrics in the embedded format, by name."""
    found = {}
    for line in lines:
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
            assert directive["Namespace"] == "Nvfp4Ddim/test"
            for metric in directive["Metrics"]:
                found[metric["Name"]] = line[metric["Name"]]
    return found


def test_the_jobs_id_is_in_every_log_and_the_requests_id_beside_it_once(
    world: SimpleNamespace,
    request_body: dict[str, Any],
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(
        clients.sagemaker_runtime(), "invoke_endpoint_async", lambda **call: calls.append(call)
    )
    created = world.invoke("create_job", "/v1/jobs", body=request_body)
    job_id = created.body["id"]
    (accepted,) = (line for line in lines() if line.get("message") == "Accepted")
    assert accepted["job_id"] == job_id
    assert accepted["correlation_id"] == created.headers["X-Request-Id"]
    world.dispatch()
    (dispatched,) = (line for line in lines() if line.get("message") == "Dispatched")
    assert dispatched["job_id"] == job_id
    # This is what the container's own log line takes its job_id from.
    assert job_id_from_attributes(calls[0]["CustomAttributes"]) == job_id
    assert calls[0]["InferenceId"] == job_id
    world.notify(job_id)
    (recorded,) = (line for line in lines() if line.get("message") == "Recorded")
    assert recorded["job_id"] == job_id


def test_a_finished_job_is_measured(
    world: SimpleNamespace, request_body: dict[str, Any], lines: Lines
) -> None:
    job_id = world.invoke("create_job", "/v1/jobs", body=request_body).body["id"]
    lines()
    world.notify(job_id)
    values = _values(lines())
    assert values["AttemptsSucceeded"] == [1]
    assert values["ImagesMade"] == [1]
    assert values["JobInferenceSeconds"] == [pytest.approx(1.1)]
    assert values["EstimatedCostUsd"][0] > 0
    assert {"JobQueueSeconds", "JobDeliverySeconds"} <= set(values)


def test_no_log_line_holds_the_prompt(
    world: SimpleNamespace, request_body: dict[str, Any], lines: Lines
) -> None:
    job_id = world.invoke("create_job", "/v1/jobs", body=request_body).body["id"]
    world.notify(job_id)
    assert request_body["prompt"] not in json.dumps(lines())

"""A stop of the deployed app, for what had been accepted before it."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import JOB_SECONDS, Operate

pytestmark = pytest.mark.e2e

SHORT = {"prompt": "red heart", "preset": "fast", "num_inference_steps": 2, "lane": "lambda"}
# Longer than a stop takes; it is cancelled then.
LONG = SHORT | {"num_inference_steps": 1_000, "num_images": 3}
UPLOAD = {"content_type": "image/png", "size_bytes": 10}


@pytest.fixture
def item(aws: Callable[[str], Any], outputs: dict[str, str]) -> Callable[[str], dict[str, Any]]:
    """A job as the table has it."""

    def read(job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = aws("dynamodb").get_item(
            TableName=outputs["JobTableName"],
            Key={"pk": {"S": f"job#{job_id}"}},
            ConsistentRead=True,
        )["Item"]
        return found

    return read


def _eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + JOB_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.1)


def test_a_stop_reaches_the_lambda_lane_and_its_jobs_go_on_afterwards(
    api: httpx.Client,
    item: Callable[[str], dict[str, Any]],
    operate: Operate,
    running_step: Callable[[str], None],
    finished: Callable[[str], dict[str, Any]],
) -> None:
    begun = api.post("/v1/jobs", json=LONG).json()["id"]
    running_step(begun)
    # The function is busy: this one waits in Lambda's own queue, beyond the dispatcher's reach.
    waiting = api.post("/v1/jobs", json=SHORT).json()["id"]
    _eventually(lambda: item(waiting)["dispatched_attempt"]["N"] == "1")
    operate("stop", "--reason", "We move house.")
    try:
        assert api.get(f"/v1/jobs/{begun}").json()["state"] == "running"
        api.delete(f"/v1/jobs/{begun}")
        _eventually(lambda: "held_attempt" in item(waiting))
        assert api.get(f"/v1/jobs/{waiting}").json()["state"] == "queued"
        _eventually(lambda: api.post("/v1/uploads", json=UPLOAD).status_code == 503)
    finally:
        resumed = operate("resume").stdout
    assert "Jobs that waited and go on: 1." in resumed
    _eventually(lambda: api.post("/v1/uploads", json=UPLOAD).status_code == 201)
    job = finished(waiting)
    assert job["state"] == "succeeded", job["error"]
    assert job["attempt"] == 1
    assert job["cost_estimate"]["machine"] == "Lambda, 4096 MB, x86_64"

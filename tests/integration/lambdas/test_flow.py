"""From the table's stream to inference and back: dispatch, results, retries, sweeping."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.adapters import clients
from nvfp4_ddim_contracts.table import job_partition, progress_update

JOBS = "/v1/jobs"


@pytest.fixture
def submitted(cloud: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What asynchronous inference was asked for; moto's own endpoint would answer for us."""
    calls: list[dict[str, Any]] = []
    client = clients.sagemaker_runtime()
    monkeypatch.setattr(client, "invoke_endpoint_async", lambda **call: calls.append(call))
    return calls


def _state(cloud: SimpleNamespace, job_id: str) -> dict[str, Any]:
    answer = cloud.dynamodb.get_item(TableName="jobs", Key={"pk": {"S": job_partition(job_id)}})
    return {name: next(iter(value.values())) for name, value in answer["Item"].items()}


def test_a_new_job_is_dispatched_once(
    world: SimpleNamespace,
    cloud: SimpleNamespace,
    submitted: list[dict[str, Any]],
    request_body: Any,
) -> None:
    headers = {"Idempotency-Key": "its-item-is-in-the-stream-too"}
    job_id = world.invoke("create_job", JOBS, body=request_body, headers=headers).body["id"]
    assert world.dispatch() == {"batchItemFailures": []}
    (call,) = submitted
    assert call == {
        "EndpointName": "endpoint",
        "InferenceId": job_id,
        "InputLocation": f"s3://results-bucket/async/input/{job_id}/1.json",
        "CustomAttributes": f"job_id={job_id}",
        "ContentType": "application/json",
        "Accept": "application/json",
        "InvocationTimeoutSeconds": 3_600,
    }
    body = cloud.s3.get_object(Bucket="results-bucket", Key=f"async/input/{job_id}/1.json")
    sent = json.loads(body["Body"].read())
    assert (sent["prompt"], sent["seed"], sent["model"]) == ("red heart", 7, "emoji-64")
    assert world.dispatch() == {"batchItemFailures": []}
    assert len(submitted) == 1


def test_a_job_cancelled_before_its_dispatch_costs_nothing(
    world: SimpleNamespace, submitted: list[dict[str, Any]], request_body: Any
) -> None:
    job_id = world.invoke("create_job", JOBS, body=request_body).body["id"]
    world.invoke("cancel_job", f"{JOBS}/{job_id}", job_id=job_id)
    world.dispatch()
    assert submitted == []


def test_a_failed_dispatch_names_its_record(
    world: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    request_body: Any,
    cloud: SimpleNamespace,
) -> None:
    job_id = world.invoke("create_job", JOBS, body=request_body).body["id"]

    def refuse(**_call: Any) -> None:
        raise ConnectionError("no endpoint")

    monkeypatch.setattr(clients.sagemaker_runtime(), "invoke_endpoint_async", refuse)
    number = world.stream_event()["Records"][0]["dynamodb"]["SequenceNumber"]
    assert world.dispatch() == {"batchItemFailures": [{"itemIdentifier": number}]}
    assert _state(cloud, job_id)["dispatched_attempt"] == "0"


@pytest.mark.parametrize("raw", [False, True])
def test_a_success_publishes_pictures_with_provenance(
    invoke: Any, notify: Any, cloud: SimpleNamespace, request_body: Any, raw: bool
) -> None:
    job_id = invoke("create_job", JOBS, body=request_body).body["id"]
    cloud.dynamodb.update_item(
        TableName="jobs", **progress_update(job_id, 3, 10, datetime.now(UTC).isoformat())
    )
    assert invoke("get_job", JOBS, job_id=job_id).body["progress"]["step"] == 3
    assert notify(job_id, raw=raw) == {"batchItemFailures": []}
    job = invoke("get_job", JOBS, job_id=job_id).body
    assert job["state"] == "succeeded"
    assert job["progress"] == {"step": 10, "total_steps": 10}
    assert job["provenance"]["execution_path"] == "cpu/fp32"
    assert job["timings"]["generate_seconds"] == 1
    assert job["cost_estimate"]["machine"] == "ml.g6.xlarge"
    assert job["cost_estimate"]["busy_seconds"] == 1.1
    (attempt,) = job["attempts"]
    assert attempt["number"] == 1
    assert attempt["started_at"] < attempt["finished_at"] == job["updated_at"]
    picture = cloud.s3.get_object(Bucket="results-bucket", Key=f"results/{job_id}/0.png")
    assert picture["ContentType"] == "image/png"
    assert picture["Body"].read().startswith(b"\x89PNG")


def test_a_lost_attempt_is_tried_again_and_then_fails(
    world: SimpleNamespace,
    cloud: SimpleNamespace,
    submitted: list[dict[str, Any]],
    request_body: Any,
) -> None:
    job_id = world.invoke("create_job", JOBS, body=request_body).body["id"]
    world.dispatch()
    cloud.dynamodb.update_item(
        TableName="jobs", **progress_update(job_id, 3, 10, datetime.now(UTC).isoformat())
    )
    lost = {"reason": "ClientError: Received server error (500) from model.", "answer": b"<html>"}
    world.notify(job_id, attempt=1, **lost)
    world.notify(job_id, attempt=1, **lost)
    job = world.invoke("get_job", JOBS, job_id=job_id).body
    assert (job["state"], job["attempt"]) == ("queued", 2)
    first, second = job["attempts"]
    assert first["started_at"] < first["finished_at"]
    assert second == {"number": 2, "started_at": None, "finished_at": None}
    world.dispatch()
    assert [call["InputLocation"].rpartition("/")[2] for call in submitted] == ["1.json", "2.json"]
    world.notify(job_id, attempt=2, **lost)
    job = world.invoke("get_job", JOBS, job_id=job_id).body
    assert job["state"] == "failed"
    assert [attempt["number"] for attempt in job["attempts"]] == [1, 2]
    assert job["attempts"][1]["finished_at"] == job["updated_at"]
    assert job["cost_estimate"] is None
    assert job["error"]["type"].endswith("inference-failed")


def test_a_refused_request_fails_at_once_with_the_containers_words(
    invoke: Any, notify: Any, request_body: Any
) -> None:
    job_id = invoke("create_job", JOBS, body=request_body).body["id"]
    problem = {
        "type": "urn:nvfp4-ddim:problem:invalid-request",
        "title": "Too many steps",
        "status": 400,
        "detail": "This container allows 50 steps.",
    }
    notify(job_id, reason="ClientError (400)", answer=json.dumps(problem).encode())
    job = invoke("get_job", JOBS, job_id=job_id).body
    assert (job["state"], job["error"]["detail"]) == ("failed", problem["detail"])


def test_late_events_change_nothing(
    invoke: Any, notify: Any, request_body: Any, cloud: SimpleNamespace
) -> None:
    job_id = invoke("create_job", JOBS, body=request_body).body["id"]
    invoke("cancel_job", JOBS, job_id=job_id)
    assert notify(job_id) == {"batchItemFailures": []}
    assert invoke("get_job", JOBS, job_id=job_id).body["state"] == "cancelled"
    assert cloud.s3.list_objects_v2(Bucket="results-bucket", Prefix="results/")["KeyCount"] == 0


def test_nonsense_in_the_queue_comes_again_until_the_dead_letter_queue_takes_it(
    load: Any, context: Any
) -> None:
    record = {"messageId": "m1", "body": '{"hello": 1}', "eventSource": "aws:sqs"}
    answer = load("record_result")({"Records": [record]}, context)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


def test_the_sweep_expires_only_overdue_silent_jobs(
    load: Any, invoke: Any, context: Any, cloud: SimpleNamespace, request_body: Any
) -> None:
    overdue, moving, fresh = (
        invoke("create_job", JOBS, body=request_body).body["id"] for _ in range(3)
    )
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="microseconds")
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    for job_id, updated_at in ((overdue, past), (moving, now)):
        cloud.dynamodb.update_item(
            TableName="jobs",
            Key={"pk": {"S": job_partition(job_id)}},
            UpdateExpression="SET deadline_at = :past, updated_at = :updated",
            ExpressionAttributeValues={":past": {"S": past}, ":updated": {"S": updated_at}},
        )
    assert load("sweep_jobs")({}, context) == {"expired": 1, "released": 0}
    states = [invoke("get_job", JOBS, job_id=job_id).body for job_id in (overdue, moving, fresh)]
    assert [job["state"] for job in states] == ["expired", "queued", "queued"]
    assert states[0]["error"]["type"].endswith("timed-out")

"""The stop as an item of the table, the capacity in Application Auto Scaling, and 503s."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from nvfp4_ddim_contracts import InferenceTask

TARGET = "endpoint/endpoint/variant/AllTraffic"
REALTIME = "endpoint/realtime/variant/AllTraffic"
TARGETS = json.dumps(
    [
        {"resource_id": TARGET, "max_capacity": 3},
        {"resource_id": REALTIME, "min_capacity": 2, "max_capacity": 4, "stopped_capacity": 1},
    ]
)
OPEN = {TARGET: (0, 3, False), REALTIME: (2, 4, False)}
STOPPED = {TARGET: (0, 0, True), REALTIME: (1, 1, True)}
Limits = dict[str, tuple[int, int, bool]]


@pytest.fixture
def limits(cloud: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Limits]:
    """The lowest and highest number of machines, and whether warm windows are suspended."""
    monkeypatch.setenv("SCALABLE_TARGETS", TARGETS)
    client = boto3.client("application-autoscaling")
    for target, (least, most, _) in OPEN.items():
        client.register_scalable_target(
            ServiceNamespace="sagemaker",
            ResourceId=target,
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
            MinCapacity=least,
            MaxCapacity=most,
        )

    def read() -> Limits:
        targets = client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
        return {
            each["ResourceId"]: (
                each["MinCapacity"],
                each["MaxCapacity"],
                each.get("SuspendedState", {}).get("ScheduledScalingSuspended", False),
            )
            for each in targets
        }

    return read


@pytest.fixture
def switch(cloud: SimpleNamespace, limits: object) -> Any:
    """As operators have it."""
    from lambdas import wiring
    from lambdas.settings import StopSpendingSettings

    return wiring.service_switch(
        StopSpendingSettings.model_validate({"TABLE_NAME": "jobs", "SCALABLE_TARGETS": TARGETS})
    )


def test_a_spent_budget_refuses_jobs_until_it_is_undone(
    world: SimpleNamespace,
    request_body: dict[str, Any],
    limits: Callable[[], Limits],
    switch: Any,
    context: Any,
) -> None:
    job = world.invoke("create_job", "/v1/jobs", body=request_body)
    assert job.status == 202
    event = {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "AWS Budgets: 100 %"}}]}
    for _ in range(2):
        assert "budget" in world.load("stop_spending")(event, context)["reason"]
    assert limits() == STOPPED

    refused = world.invoke("create_job", "/v1/jobs", body=request_body)
    assert refused.status == 503
    assert refused.body["type"] == "urn:nvfp4-ddim:problem:stopped"
    assert "The month's budget is used up." in refused.body["detail"]
    assert refused.headers["Retry-After"] == "3600"
    assert refused.headers["Content-Type"] == "application/problem+json"
    image = world.invoke("create_image", "/v1/images/generations", body={"prompt": "red heart"})
    assert image.status == 503
    assert image.body["error"]["code"] == "stopped"
    assert image.headers["x-should-retry"] == "false"
    body = {"content_type": "image/png", "size_bytes": 10}
    upload = world.invoke("create_upload", "/v1/uploads", body=body)
    assert upload.status == 503
    assert upload.body["type"] == "urn:nvfp4-ddim:problem:stopped"
    found = world.invoke("get_job", "/v1/jobs/x", job_id=job.body["id"])
    assert found.status == 200

    switch.resume()
    assert limits() == OPEN
    assert world.invoke("create_job", "/v1/jobs", body=request_body).status == 202


def test_no_function_is_fed_with_the_flag(
    world: SimpleNamespace, limits: Callable[[], Limits], context: Any
) -> None:
    world.load("stop_spending")({}, context)
    (record,) = world.stream_event()["Records"]
    assert "state" not in record["dynamodb"]["NewImage"]
    assert world.dispatch() == {"batchItemFailures": []}


def test_a_job_that_was_accepted_before_the_stop_waits_for_its_end(
    world: SimpleNamespace,
    request_body: dict[str, Any],
    switch: Any,
    context: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handed: list[str] = []
    monkeypatch.setattr(
        "lambdas.adapters.sagemaker_async.SageMakerAsync.submit",
        lambda _self, job_id, _uri: handed.append(job_id),
    )
    job_id = world.invoke("create_job", "/v1/jobs", body=request_body).body["id"]
    switch.stop("We move house.")
    for _ in range(2):  # the note makes the stream tell the dispatcher once more
        assert world.dispatch() == {"batchItemFailures": []}
    assert world.load("sweep_jobs")({}, context) == {"expired": 0, "released": 0}
    assert handed == []
    assert world.invoke("get_job", "/v1/jobs/x", job_id=job_id).body["state"] == "queued"

    switch.resume()
    assert world.load("sweep_jobs")({}, context) == {"expired": 0, "released": 1}
    assert world.load("sweep_jobs")({}, context) == {"expired": 0, "released": 0}
    world.dispatch()
    assert handed == [job_id]
    assert world.notify(job_id) == {"batchItemFailures": []}
    assert world.invoke("get_job", "/v1/jobs/x", job_id=job_id).body["state"] == "succeeded"


def test_a_note_is_kept_for_the_attempt_that_is_wanted_alone(
    world: SimpleNamespace, cloud: SimpleNamespace, request_body: dict[str, Any]
) -> None:
    from lambdas.adapters.dynamodb_held import DynamoDBHeldJobs

    held = DynamoDBHeldJobs(cloud.dynamodb, "jobs", "by-state")
    job_id = world.invoke("create_job", "/v1/jobs", body=request_body).body["id"]
    assert not held.hold(job_id, 2)
    assert held.hold(job_id, 1)
    assert not held.hold(job_id, 1)
    assert [job.id for job in held.all()] == [job_id]
    assert not held.release(job_id, 2)
    assert held.release(job_id, 1)
    assert not held.release(job_id, 1)
    assert held.hold(job_id, 1)
    assert not held.hold("0" * 32, 1)
    world.invoke("cancel_job", "/v1/jobs/x", job_id=job_id)
    assert list(held.all()) == []
    assert not held.release(job_id, 1)
    assert not held.hold(job_id, 1)


def test_the_function_lane_reads_the_same_flag_and_leaves_the_same_note(
    world: SimpleNamespace, cloud: SimpleNamespace, request_body: dict[str, Any], switch: Any
) -> None:
    from lambdas.adapters.dynamodb_held import DynamoDBHeldJobs
    from nvfp4_ddim_server.aws_tasks import AwsTasks

    job_id = world.invoke("create_job", "/v1/jobs", body=request_body).body["id"]
    board = AwsTasks.connect("jobs", "a", "b", "function")
    task = InferenceTask(input_uri=f"s3://results-bucket/async/input/{job_id}/1.json")
    assert not board.is_stopped()
    switch.stop("We move house.")
    assert board.is_stopped()
    for _ in range(2):
        board.hold(task)
    held = DynamoDBHeldJobs(cloud.dynamodb, "jobs", "by-state")
    assert [job.id for job in held.all()] == [job_id]
    switch.resume()
    assert not board.is_stopped()


@pytest.mark.parametrize(
    "first_step",
    [
        ("prepare_batch", {"key": "batches/pets/manifest.jsonl", "run": "one"}),
        ("prepare_quantization", {"key": "incoming/tiny/quantize.json", "execution": "one"}),
    ],
)
def test_what_is_dropped_while_the_service_is_stopped_is_not_begun(
    world: SimpleNamespace,
    switch: Any,
    context: Any,
    monkeypatch: pytest.MonkeyPatch,
    first_step: tuple[str, dict[str, str]],
) -> None:
    handler, event = first_step
    for name, value in {
        "BATCH_BUCKET": "results-bucket",
        "INCOMING_BUCKET": "results-bucket",
        "MAX_MODEL_BYTES": "1",
        "QUANTIZER": "image",
    }.items():
        monkeypatch.setenv(name, value)
    switch.stop("We move house.")
    # By this name the state machine knows that it has to ask again.
    with pytest.raises(Exception, match="We move house") as raised:
        world.load(handler)(event, context)
    assert type(raised.value).__name__ == "ServiceStoppedError"

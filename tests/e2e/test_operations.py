"""Mending and stopping the deployed app by the commands that operators have."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from nvfp4_ddim_contracts.operations import DeadLetters
from tests.e2e.conftest import Operate

pytestmark = pytest.mark.e2e

BODY = {"prompt": "red heart", "preset": "fast", "num_inference_steps": 2}


def _eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.1)


def _waiting(sqs: Any, url: str) -> int:
    attributes = sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])


def test_a_job_whose_dispatch_failed_for_good_is_redriven_and_succeeds(
    api: httpx.Client,
    aws: Callable[[str], Any],
    outputs: dict[str, str],
    operate: Operate,
    finished: Callable[[str], dict[str, Any]],
) -> None:
    sqs, functions = aws("sqs"), aws("lambda")
    letters = DeadLetters.model_validate_json(outputs["DeadLettersDispatch"])
    (mapping,) = functions.list_event_source_mappings(FunctionName=letters.target)[
        "EventSourceMappings"
    ]
    # The function is out of order from here on, so that its job ends as a note of the stream.
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    time.sleep(1)  # the poller looks every quarter of a second
    job = api.post("/v1/jobs", json=BODY).json()
    now = datetime.now(UTC).isoformat()
    note = {
        "DDBStreamBatchInfo": {
            "streamArn": mapping["EventSourceArn"],
            "approximateArrivalOfFirstRecord": now,
            "approximateArrivalOfLastRecord": now,
        }
    }
    sqs.send_message(QueueUrl=letters.url, MessageBody=json.dumps(note))
    try:
        assert "dispatch" in operate("redrive").stdout
        assert "about 1 messages" in operate("redrive", "dispatch", "--dry-run").stdout
        assert api.get(f"/v1/jobs/{job['id']}").json()["state"] == "queued"
        assert "Moved 1 messages" in operate("redrive", "dispatch").stdout
        assert finished(job["id"])["state"] == "succeeded"
        assert _waiting(sqs, letters.url) == 0
    finally:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def test_a_result_that_could_not_be_recorded_is_redriven_and_the_job_succeeds(
    api: httpx.Client,
    aws: Callable[[str], Any],
    outputs: dict[str, str],
    operate: Operate,
    finished: Callable[[str], dict[str, Any]],
) -> None:
    sqs, functions = aws("sqs"), aws("lambda")
    letters = DeadLetters.model_validate_json(outputs["DeadLettersRecord"])
    arn = sqs.get_queue_attributes(QueueUrl=letters.target, AttributeNames=["QueueArn"])[
        "Attributes"
    ]["QueueArn"]
    (mapping,) = functions.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    time.sleep(1)
    try:
        job = api.post("/v1/jobs", json=BODY).json()
        _eventually(lambda: _waiting(sqs, letters.target) == 1, 120)
        (message,) = sqs.receive_message(QueueUrl=letters.target, WaitTimeSeconds=1)["Messages"]
        sqs.send_message(QueueUrl=letters.url, MessageBody=message["Body"])
        sqs.delete_message(QueueUrl=letters.target, ReceiptHandle=message["ReceiptHandle"])
    finally:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    assert "Moved 1 messages" in operate("redrive", "record").stdout
    assert finished(job["id"])["state"] == "succeeded"


def test_a_spent_budget_stops_the_service_until_it_is_resumed(
    api: httpx.Client,
    aws: Callable[[str], Any],
    outputs: dict[str, str],
    operate: Operate,
    finished: Callable[[str], dict[str, Any]],
) -> None:
    scaling = aws("application-autoscaling")

    def most_machines() -> int:
        (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")[
            "ScalableTargets"
        ]
        return int(target["MaxCapacity"])

    before = most_machines()
    existing = api.post("/v1/jobs", json=BODY).json()
    finished(existing["id"])
    aws("sns").publish(TopicArn=outputs["StopTopicArn"], Message="ACTUAL cost exceeds the budget")
    try:
        _eventually(lambda: most_machines() == 0)
        _eventually(lambda: api.post("/v1/jobs", json=BODY).status_code == 503)
        refused = api.post("/v1/jobs", json=BODY)
        assert refused.json()["type"] == "urn:nvfp4-ddim:problem:stopped"
        assert "budget" in refused.json()["detail"]
        assert int(refused.headers["retry-after"]) > 0
        assert api.get(f"/v1/jobs/{existing['id']}").json()["state"] == "succeeded"
    finally:
        assert "budget" in operate("resume").stdout
    assert most_machines() == before
    _eventually(lambda: api.post("/v1/jobs", json=BODY).status_code == 202)


def test_an_operator_stops_and_resumes(api: httpx.Client, operate: Operate) -> None:
    operate("stop", "--reason", "We move house.")
    try:
        _eventually(lambda: api.post("/v1/jobs", json=BODY).status_code == 503)
        assert "We move house." in api.post("/v1/jobs", json=BODY).json()["detail"]
        refused = operate("train", "training.calibration_prompts", code=1).stderr
        assert "We move house. Resume it first" in refused
    finally:
        operate("resume")
    _eventually(lambda: api.post("/v1/jobs", json=BODY).status_code == 202)
    assert "not stopped" in operate("resume").stdout


def test_a_wrong_name_is_told(operate: Operate) -> None:
    assert "there are" in operate("redrive", "nonsense", code=1).stderr

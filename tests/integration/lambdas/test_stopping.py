"""The stop as an item of the table, the capacity in Application Auto Scaling, and 503s."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

TARGET = "endpoint/endpoint/variant/AllTraffic"


@pytest.fixture
def limits(cloud: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """The lowest and highest number of machines."""
    monkeypatch.setenv("SCALABLE_TARGETS", json.dumps([{"resource_id": TARGET, "max_capacity": 3}]))
    client = boto3.client("application-autoscaling")
    client.register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=TARGET,
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=0,
        MaxCapacity=3,
    )

    def read() -> list[int]:
        (target,) = client.describe_scalable_targets(ServiceNamespace="sagemaker")[
            "ScalableTargets"
        ]
        return [target["MinCapacity"], target["MaxCapacity"]]

    return read


def test_a_spent_budget_refuses_jobs_until_it_is_undone(
    world: SimpleNamespace,
    request_body: dict[str, Any],
    limits: Callable[[], list[int]],
    context: Any,
) -> None:
    job = world.invoke("create_job", "/v1/jobs", body=request_body)
    assert job.status == 202
    event = {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "AWS Budgets: 100 %"}}]}
    for _ in range(2):
        assert "budget" in world.load("stop_spending")(event, context)["reason"]
    assert limits() == [0, 0]

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
    found = world.invoke("get_job", "/v1/jobs/x", job_id=job.body["id"])
    assert found.status == 200

    from lambdas import wiring
    from lambdas.settings import StopSpendingSettings

    settings = StopSpendingSettings.model_validate(
        {
            "TABLE_NAME": "jobs",
            "SCALABLE_TARGETS": json.dumps([{"resource_id": TARGET, "max_capacity": 3}]),
        }
    )
    wiring.service_switch(settings).resume()
    assert limits() == [0, 3]
    assert world.invoke("create_job", "/v1/jobs", body=request_body).status == 202


def test_no_function_is_fed_with_the_flag(
    world: SimpleNamespace, limits: Callable[[], list[int]], context: Any
) -> None:
    world.load("stop_spending")({}, context)
    (record,) = world.stream_event()["Records"]
    assert "state" not in record["dynamodb"]["NewImage"]
    assert world.dispatch() == {"batchItemFailures": []}

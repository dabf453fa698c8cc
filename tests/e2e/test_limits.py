"""What the deployed app refuses for being too much, and how it says so."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from local.deploy import Deployment
from nvfp4_ddim_contracts import Problem, ProblemType

pytestmark = pytest.mark.e2e


@contextmanager
def _key_on_a_plan(gateway: Any, name: str, **limits: Any) -> Iterator[str]:
    """A key on a usage plan of its own, as an operator makes both, and takes both away."""
    api_id = gateway.get_rest_apis()["items"][0]["id"]
    stage = {"apiId": api_id, "stage": "local"}
    plan = gateway.create_usage_plan(name=name, apiStages=[stage], **limits)
    key = gateway.create_api_key(name=name, enabled=True)
    gateway.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
    try:
        yield str(key["value"])
    finally:
        gateway.delete_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"])
        gateway.delete_api_key(apiKey=key["id"])
        detach = {"op": "remove", "path": "/apiStages", "value": f"{api_id}:{stage['stage']}"}
        gateway.update_usage_plan(usagePlanId=plan["id"], patchOperations=[detach])
        gateway.delete_usage_plan(usagePlanId=plan["id"])


@pytest.mark.parametrize(
    ("name", "limits", "least_wait"),
    [
        ("slow", {"throttle": {"rateLimit": 0.001, "burstLimit": 2}}, 1),
        ("short", {"quota": {"limit": 2, "period": "MONTH"}}, 60),
    ],
)
def test_too_many_requests_are_told_when_to_come_back(
    deployment: Deployment, aws: Callable[[str], Any], name: str, limits: Any, least_wait: int
) -> None:
    with (
        _key_on_a_plan(aws("apigateway"), name, **limits) as key,
        httpx.Client(
            base_url=deployment.api_url, headers={"x-api-key": key}, trust_env=False, timeout=40
        ) as client,
    ):
        # The front reads a plan that was made behind CloudFormation's back within seconds.
        answers = [client.get("/v1/jobs") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    refused = answers[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) >= least_wait
    assert Problem.model_validate_json(refused.content).type is ProblemType.OVERLOADED


def test_a_large_body_stops_at_the_firewall(api: httpx.Client) -> None:
    answer = api.post("/v1/jobs", json={"prompt": "x" * 70_000})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert "64 KiB" in Problem.model_validate_json(answer.content).detail


def test_a_long_wait_is_cut_short(api: httpx.Client) -> None:
    body = {"prompt": "red heart", "preset": "fast", "num_inference_steps": 2}
    answer = api.post("/v1/jobs", json=body, headers={"Prefer": "wait=99999"})
    assert answer.status_code in {200, 202}
    assert answer.headers["preference-applied"] == "wait=25"

"""What the deployed API is asked, and what it should answer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from local.clients import local_client
from local.deploy import API_STACK

__all__ = ["Answer", "ask"]

_JOB = {"prompt": "red heart", "preset": "fast"}
_REFUSED = frozenset({401, 403})
_STRANGERS = {
    "without a key": {},
    "with an unknown key": {"x-api-key": "k" * 40},
    "with an unsigned token": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."},
}


@dataclass(frozen=True)
class Answer:
    """The answer to one request.

    Attributes:
        question: What was asked.
        status: What came back.
        expected: What would have been right.
    """

    question: str
    status: int
    expected: frozenset[int]

    @property
    def is_right(self) -> bool:
        """Whether it is as expected."""
        return self.status in self.expected


class _Api:
    """The deployed API and the AWS behind it."""

    def __init__(self, aws_url: str) -> None:
        self.gateway: Any = local_client("apigateway", aws_url)
        self.iam: Any = local_client("iam", aws_url)
        cloudformation: Any = local_client("cloudformation", aws_url)
        stack = cloudformation.describe_stacks(StackName=API_STACK)["Stacks"][0]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
        self.key_id = outputs["ApiKeyId"]
        found = self.gateway.get_api_key(apiKey=self.key_id, includeValue=True)
        self.with_key = {"x-api-key": found["value"]}
        api_id = self.gateway.get_rest_apis()["items"][0]["id"]
        stage = self.gateway.get_stages(restApiId=api_id)["item"][0]["stageName"]
        self._client = httpx.Client(
            base_url=f"{aws_url}/restapis/{api_id}/{stage}/_user_request_/v1",
            trust_env=False,
            timeout=60,
        )

    def list_jobs(self, headers: Mapping[str, str]) -> int:
        """GET /v1/jobs."""
        return self._client.get("jobs", headers=headers).status_code

    def make_job(self, headers: Mapping[str, str]) -> int:
        """POST /v1/jobs."""
        return self._client.post("jobs", headers=headers, json=_JOB).status_code

    def plan_of_key(self) -> str:
        """The usage plan that the operator's key is in."""
        for plan in self.gateway.get_usage_plans()["items"]:
            keys = self.gateway.get_usage_plan_keys(usagePlanId=plan["id"])["items"]
            if self.key_id in {key["id"] for key in keys}:
                return str(plan["id"])
        raise LookupError("The operator's key is in no usage plan.")

    def role_of_list_jobs(self) -> str:
        """The execution role of the function that lists jobs."""
        roles = [each["RoleName"] for each in self.iam.list_roles(MaxItems=1_000)["Roles"]]
        (name,) = (name for name in roles if "FunctionsListJobs" in name)
        return str(name)


def ask(aws_url: str) -> list[Answer]:
    """Ask the deployed API everything; some questions change what is deployed.

    Args:
        aws_url: Of a cloud that nobody else uses.
    """
    api = _Api(aws_url)
    return [*_keys(api), *_usage_plan(api), *_roles(api), *_a_deleted_key(api)]


def _keys(api: _Api) -> Iterator[Answer]:
    for who, headers in _STRANGERS.items():
        yield Answer(f"GET /v1/jobs {who}", api.list_jobs(headers), _REFUSED)
        yield Answer(f"POST /v1/jobs {who}", api.make_job(headers), _REFUSED)
    yield Answer("GET /v1/jobs with the key", api.list_jobs(api.with_key), frozenset({200}))
    yield Answer("POST /v1/jobs with the key", api.make_job(api.with_key), frozenset({202}))


def _usage_plan(api: _Api) -> Iterator[Answer]:
    plan = api.plan_of_key()
    before = api.gateway.get_usage_plan(usagePlanId=plan)["throttle"]
    _throttle(api, plan, 0, 0)
    status = api.list_jobs(api.with_key)
    yield Answer("GET /v1/jobs beyond the usage plan's rate", status, frozenset({429}))
    _throttle(api, plan, before["rateLimit"], before["burstLimit"])


def _throttle(api: _Api, plan: str, rate: float, burst: int) -> None:
    changes = {"/throttle/rateLimit": rate, "/throttle/burstLimit": burst}
    api.gateway.update_usage_plan(
        usagePlanId=plan,
        patchOperations=[
            {"op": "replace", "path": path, "value": str(value)} for path, value in changes.items()
        ],
    )


def _roles(api: _Api) -> Iterator[Answer]:
    """Without this the answers above would not say that the roles' policies were looked at."""
    role = api.role_of_list_jobs()
    for policy in api.iam.list_role_policies(RoleName=role)["PolicyNames"]:
        api.iam.delete_role_policy(RoleName=role, PolicyName=policy)
    status = api.list_jobs(api.with_key)
    yield Answer("GET /v1/jobs of a function without rights", status, frozenset({500, 502, 503}))


def _a_deleted_key(api: _Api) -> Iterator[Answer]:
    api.gateway.delete_api_key(apiKey=api.key_id)
    yield Answer("POST /v1/jobs with a deleted key", api.make_job(api.with_key), _REFUSED)

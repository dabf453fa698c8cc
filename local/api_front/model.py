"""The deployed REST API, read from API Gateway's own API into a frozen snapshot."""

import json
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Api",
    "Authorizer",
    "GatewayResponse",
    "Key",
    "Method",
    "Resource",
    "UsagePlan",
    "function_arn",
    "read_api",
]


@dataclass(frozen=True)
class Authorizer:
    """A Lambda authoriser; `identity_sources` such as `method.request.header.X-Api-Key`."""

    authorizer_id: str
    kind: str
    function_arn: str
    identity_sources: tuple[str, ...]
    ttl_seconds: int


@dataclass(frozen=True)
class Method:
    """One method with everything that happens before and in its integration."""

    http_method: str
    authorizer_id: str | None
    api_key_required: bool
    required_parameters: tuple[str, ...]
    validates_body: bool
    validates_parameters: bool
    body_schemas: dict[str, dict[str, Any]]
    integration: dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """A path such as `/v1/jobs/{job_id}`."""

    path: str
    methods: dict[str, Method]


@dataclass(frozen=True)
class GatewayResponse:
    """How the gateway itself answers in one case."""

    status: str | None
    headers: dict[str, str]
    templates: dict[str, str]


@dataclass(frozen=True)
class Key:
    """An API key."""

    key_id: str
    value: str
    enabled: bool


@dataclass(frozen=True)
class UsagePlan:
    """A usage plan of this API's stage, with its keys' ids; None is no limit."""

    plan_id: str
    key_ids: frozenset[str]
    rate_limit: float | None
    burst_limit: int | None
    quota_limit: int | None
    quota_period: str


@dataclass(frozen=True)
class Api:
    """One deployed API with its stage."""

    api_id: str
    stage: str
    key_source: str
    binary_media_types: tuple[str, ...]
    resources: tuple[Resource, ...]
    authorizers: dict[str, Authorizer]
    gateway_responses: dict[str, GatewayResponse]
    keys: dict[str, Key]
    plans: tuple[UsagePlan, ...]


def read_api(client: Any) -> Api | None:
    """Read the deployed API, or None while there is none with a stage.

    Args:
        client: boto3 client of API Gateway.
    """
    for api in client.get_rest_apis()["items"]:
        api_id = api["id"]
        stages = client.get_stages(restApiId=api_id)["item"]
        if not stages:
            continue
        stage = stages[0]["stageName"]
        return Api(
            api_id=api_id,
            stage=stage,
            key_source=api.get("apiKeySource", "HEADER"),
            binary_media_types=tuple(api.get("binaryMediaTypes") or ()),
            resources=_resources(client, api_id),
            authorizers=_authorizers(client, api_id),
            gateway_responses=_gateway_responses(client, api_id),
            keys=_keys(client),
            plans=_plans(client, api_id, stage),
        )
    return None


def _resources(client: Any, api_id: str) -> tuple[Resource, ...]:
    items = client.get_resources(restApiId=api_id, embed=["methods"], limit=500)["items"]
    validators = {
        item["id"]: item for item in client.get_request_validators(restApiId=api_id)["items"]
    }
    schemas = {
        item["name"]: json.loads(item.get("schema") or "{}")
        for item in client.get_models(restApiId=api_id)["items"]
    }
    return tuple(
        Resource(
            path=item["path"],
            methods={
                name: _method(name, method, validators, schemas)
                for name, method in item.get("resourceMethods", {}).items()
            },
        )
        for item in items
    )


def _method(
    name: str, method: dict[str, Any], validators: dict[str, Any], schemas: dict[str, Any]
) -> Method:
    validator = validators.get(method.get("requestValidatorId", ""), {})
    return Method(
        http_method=name,
        authorizer_id=method.get("authorizerId"),
        api_key_required=str(method.get("apiKeyRequired", False)).lower() == "true",
        required_parameters=tuple(
            parameter
            for parameter, required in (method.get("requestParameters") or {}).items()
            if str(required).lower() == "true"
        ),
        validates_body=bool(validator.get("validateRequestBody")),
        validates_parameters=bool(validator.get("validateRequestParameters")),
        body_schemas={
            content_type: schemas[model]
            for content_type, model in (method.get("requestModels") or {}).items()
            if model in schemas
        },
        integration=method.get("methodIntegration") or {},
    )


def _authorizers(client: Any, api_id: str) -> dict[str, Authorizer]:
    return {
        item["id"]: Authorizer(
            authorizer_id=item["id"],
            kind=item["type"],
            function_arn=function_arn(item["authorizerUri"]),
            identity_sources=tuple(
                source.strip() for source in item.get("identitySource", "").split(",") if source
            ),
            ttl_seconds=int(item.get("authorizerResultTtlInSeconds", 300)),
        )
        for item in client.get_authorizers(restApiId=api_id)["items"]
    }


def function_arn(uri: str) -> str:
    """The function in `arn:aws:apigateway:...:path/<version>/functions/ARN/<action>`."""
    return uri.split("/functions/", 1)[1].rsplit("/", 1)[0]


def _gateway_responses(client: Any, api_id: str) -> dict[str, GatewayResponse]:
    return {
        item["responseType"]: GatewayResponse(
            status=item.get("statusCode"),
            headers=item.get("responseParameters") or {},
            templates=item.get("responseTemplates") or {},
        )
        for item in client.get_gateway_responses(restApiId=api_id)["items"]
    }


def _keys(client: Any) -> dict[str, Key]:
    items = client.get_api_keys(includeValues=True)["items"]
    return {
        item["value"]: Key(item["id"], item["value"], bool(item.get("enabled")))
        for item in items
        if "value" in item
    }


def _plans(client: Any, api_id: str, stage: str) -> tuple[UsagePlan, ...]:
    plans = []
    for item in client.get_usage_plans()["items"]:
        stages = {(each["apiId"], each["stage"]) for each in item.get("apiStages", [])}
        if (api_id, stage) not in stages:
            continue
        keys = client.get_usage_plan_keys(usagePlanId=item["id"])["items"]
        throttle, quota = item.get("throttle") or {}, item.get("quota") or {}
        plans.append(
            UsagePlan(
                plan_id=item["id"],
                key_ids=frozenset(key["id"] for key in keys),
                rate_limit=throttle.get("rateLimit"),
                burst_limit=throttle.get("burstLimit"),
                quota_limit=quota.get("limit"),
                quota_period=quota.get("period", "MONTH"),
            )
        )
    return tuple(plans)

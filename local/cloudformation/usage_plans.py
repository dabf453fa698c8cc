"""API keys and the usage plans that bound them."""

from typing import Any, ClassVar

from .adapter import ApiAdapter, Properties, Provisioned, ResourceAdapter, ResourceRequest
from .values import as_bool, present

__all__ = ["GatewayAdapter", "usage_plan_adapters"]


class GatewayAdapter(ApiAdapter):
    """A resource made by API Gateway's own API."""

    @property
    def _api(self) -> Any:
        return self._client("apigateway")


class ApiKey(GatewayAdapter):
    """API keys."""

    types: ClassVar = ("AWS::ApiGateway::ApiKey",)
    name_property: ClassVar = "Name"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the key."""
        properties = request.properties
        key = self._api.create_api_key(
            name=request.name,
            enabled=as_bool(properties.get("Enabled", False)),
            **present(value=properties.get("Value"), description=properties.get("Description")),
        )
        return Provisioned(key["id"], {"APIKeyId": key["id"]})

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the key."""
        self._api.delete_api_key(apiKey=current.physical_id)


class UsagePlan(GatewayAdapter):
    """Usage plans: which stages, how fast, how much."""

    types: ClassVar = ("AWS::ApiGateway::UsagePlan",)
    name_property: ClassVar = "UsagePlanName"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the plan."""
        properties = request.properties
        plan = self._api.create_usage_plan(
            name=request.name,
            apiStages=[
                {"apiId": stage["ApiId"], "stage": stage["Stage"]}
                for stage in properties.get("ApiStages", [])
            ],
            **present(
                description=properties.get("Description"),
                throttle=_throttle(properties.get("Throttle")),
                quota=_quota(properties.get("Quota")),
            ),
        )
        return Provisioned(plan["id"], {"Id": plan["id"]})

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the plan."""
        self._api.delete_usage_plan(usagePlanId=current.physical_id)


def _throttle(throttle: Properties | None) -> Properties | None:
    if throttle is None:
        return None
    return {"rateLimit": float(throttle["RateLimit"]), "burstLimit": int(throttle["BurstLimit"])}


def _quota(quota: Properties | None) -> Properties | None:
    if quota is None:
        return None
    return {"limit": int(quota["Limit"]), "period": quota["Period"]}


class UsagePlanKey(GatewayAdapter):
    """Which key belongs to which plan."""

    types: ClassVar = ("AWS::ApiGateway::UsagePlanKey",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Put the key on the plan."""
        properties = request.properties
        self._api.create_usage_plan_key(
            usagePlanId=properties["UsagePlanId"],
            keyId=properties["KeyId"],
            keyType=properties["KeyType"],
        )
        return Provisioned(f"{properties['KeyId']}:{properties['UsagePlanId']}")

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Take the key off the plan."""
        self._api.delete_usage_plan_key(
            usagePlanId=request.properties["UsagePlanId"], keyId=request.properties["KeyId"]
        )


def usage_plan_adapters(aws_url: str) -> list[ResourceAdapter]:
    """All adapters of this file."""
    return [each(aws_url) for each in (ApiKey, UsagePlan, UsagePlanKey)]

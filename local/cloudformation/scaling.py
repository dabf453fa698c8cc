"""Application Auto Scaling targets and policies, stored by moto; nothing scales on one machine."""

from typing import Any, ClassVar

from .adapter import ApiAdapter, Properties, Provisioned, ResourceAdapter, ResourceRequest

__all__ = ["scaling_adapters"]

_TYPES = {
    "Cooldown": int,
    "ScaleInCooldown": int,
    "ScaleOutCooldown": int,
    "MinAdjustmentMagnitude": int,
    "ScalingAdjustment": int,
    "TargetValue": float,
    "MetricIntervalLowerBound": float,
    "MetricIntervalUpperBound": float,
}


def _typed(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _typed(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner) for inner in value]
    if key in {"DisableScaleIn", "ReturnData"}:
        return str(value).lower() == "true"
    return _TYPES[key](value) if key in _TYPES else value


class ScalableTarget(ApiAdapter):
    """What may be scaled, and between which bounds."""

    types: ClassVar = ("AWS::ApplicationAutoScaling::ScalableTarget",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Register the target."""
        properties = request.properties
        where = _target(properties)
        self._client("application-autoscaling").register_scalable_target(
            **where,
            MinCapacity=int(properties["MinCapacity"]),
            MaxCapacity=int(properties["MaxCapacity"]),
        )
        for action in properties.get("ScheduledActions", []):
            self._client("application-autoscaling").put_scheduled_action(
                **where,
                ScheduledActionName=action["ScheduledActionName"],
                Schedule=action["Schedule"],
                ScalableTargetAction={
                    name: int(value) for name, value in action["ScalableTargetAction"].items()
                },
            )
        return Provisioned(
            f"{where['ResourceId']}|{where['ScalableDimension']}|{where['ServiceNamespace']}"
        )

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Registering again changes the bounds and keeps the policies."""
        if _target(previous.properties) == _target(request.properties):
            return self.create(request)
        return super().update(current, previous, request)

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Deregister the target."""
        self._client("application-autoscaling").deregister_scalable_target(
            **_target(request.properties)
        )


def _target(properties: Properties) -> dict[str, str]:
    return {
        name: properties[name] for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")
    }


class ScalingPolicy(ApiAdapter):
    """Target tracking and step policies."""

    types: ClassVar = ("AWS::ApplicationAutoScaling::ScalingPolicy",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Put the policy."""
        properties = request.properties
        configurations = {
            name: _typed(properties[name])
            for name in (
                "TargetTrackingScalingPolicyConfiguration",
                "StepScalingPolicyConfiguration",
            )
            if name in properties
        }
        arn = self._client("application-autoscaling").put_scaling_policy(
            PolicyName=properties["PolicyName"],
            PolicyType=properties["PolicyType"],
            **self._where(properties),
            **configurations,
        )["PolicyARN"]
        return Provisioned(arn, {"Arn": arn})

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the policy."""
        self._client("application-autoscaling").delete_scaling_policy(
            PolicyName=request.properties["PolicyName"], **self._where(request.properties)
        )

    @staticmethod
    def _where(properties: Properties) -> dict[str, str]:
        if "ScalingTargetId" not in properties:
            return _target(properties)
        resource_id, dimension, namespace = properties["ScalingTargetId"].rsplit("|", 2)
        return {
            "ServiceNamespace": namespace,
            "ResourceId": resource_id,
            "ScalableDimension": dimension,
        }


def scaling_adapters(aws_url: str) -> list[ResourceAdapter]:
    """All adapters of this file."""
    return [ScalableTarget(aws_url), ScalingPolicy(aws_url)]

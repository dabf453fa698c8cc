"""What of a template ministack can deploy."""

from collections.abc import Mapping
from typing import Any

from local.settings import ACCOUNT_ID, REGION

__all__ = ["NOT_PROVIDED", "without"]

# What ministack 1.5.33 does not provide; everything else of the templates is deployed.
NOT_PROVIDED = (
    "AWS::ApplicationAutoScaling::",
    "AWS::Budgets::Budget",
    "AWS::CloudFront::KeyGroup",
    "AWS::CloudFront::PublicKey",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::SageMaker::",
    "AWS::WAFv2::LoggingConfiguration",
    "AWS::WAFv2::WebACLAssociation",
)
_PLACEHOLDER = f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:endpoint/not-provided"
_NOT_TLS = {"Bool": {"aws:SecureTransport": "false"}}


def without(
    template: dict[str, Any], prefixes: tuple[str, ...]
) -> tuple[dict[str, Any], list[str]]:
    """A template less the resources of some types and alarms on metric math, and the types gone.

    What refers to such a resource gets the name of one that does not exist instead. Statements that
    refuse what is not TLS go too. A secret's `Ref` becomes its ARN, as it is on AWS: ministack's is
    a name, which as a policy's resource matches nothing.
    """
    gone = {
        name: resource["Type"]
        for name, resource in template["Resources"].items()
        if resource["Type"].startswith(prefixes) or _is_metric_math(resource)
    }

    secrets = {
        name
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::SecretsManager::Secret"
    }

    def replace(value: Any) -> Any:
        if isinstance(value, list):
            return [replace(item) for item in value if not _refuses_http(item)]
        if not isinstance(value, dict):
            return value
        target = value.get("Ref") or (value.get("Fn::GetAtt") or [None])[0]
        if len(value) == 1 and target in gone:
            return _PLACEHOLDER
        if value.get("Ref") in secrets:
            return {"Fn::GetAtt": [target, "Id"]}
        return {name: replace(inner) for name, inner in value.items()}

    resources = {
        name: _independent(replace(resource), gone)
        for name, resource in template["Resources"].items()
        if name not in gone
    }
    outputs = replace(template.get("Outputs", {}))
    return {**template, "Resources": resources, "Outputs": outputs}, list(gone.values())


def _is_metric_math(resource: dict[str, Any]) -> bool:
    """ministack knows alarms on one metric only."""
    properties = resource.get("Properties", {})
    return resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in properties


def _refuses_http(statement: Any) -> bool:
    return (
        isinstance(statement, dict)
        and statement.get("Effect") == "Deny"
        and statement.get("Condition") == _NOT_TLS
    )


def _independent(resource: dict[str, Any], gone: Mapping[str, str]) -> dict[str, Any]:
    needed = resource.get("DependsOn", [])
    kept = [name for name in ([needed] if isinstance(needed, str) else needed) if name not in gone]
    rest = {name: value for name, value in resource.items() if name != "DependsOn"}
    return {**rest, "DependsOn": kept} if kept else rest

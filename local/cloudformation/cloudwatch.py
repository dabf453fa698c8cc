"""CloudWatch's alarms and the logs' metric filters; evaluated as far as moto receives metrics."""

import re
from typing import Any, ClassVar

from moto.cloudwatch.responses import CloudWatchResponse

from local.errors import ProvisioningError
from local.settings import ACCOUNT_ID, REGION

from .adapter import ApiAdapter, Provisioned, ResourceAdapter, ResourceRequest

__all__ = ["cloudwatch_adapters"]

_INTEGERS = {"EvaluationPeriods", "Period", "DatapointsToAlarm"}
_RULE_ALARM = re.compile(r'(?:ALARM|OK|INSUFFICIENT_DATA)\("?([^")]+)"?\)')


class Alarm(ApiAdapter):
    """CloudWatch alarms on one metric or on an expression."""

    types: ClassVar = ("AWS::CloudWatch::Alarm",)
    name_property: ClassVar = "AlarmName"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Put the alarm."""
        arguments = {key: _typed(value, key) for key, value in request.properties.items()}
        arguments["AlarmName"] = request.name
        self._client("cloudwatch").put_metric_alarm(**arguments)
        return _alarm(request.name)

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the alarm."""
        self._client("cloudwatch").delete_alarms(AlarmNames=[current.physical_id])


class CompositeAlarm(ApiAdapter):
    """Alarms on other alarms."""

    types: ClassVar = ("AWS::CloudWatch::CompositeAlarm",)
    name_property: ClassVar = "AlarmName"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Put the alarm; as in CloudWatch, every alarm in the rule has to exist.

        Raises:
            ProvisioningError: The rule names none, or one that is not there.
        """
        client = self._client("cloudwatch")
        names = {match.rsplit(":", 1)[-1] for match in _RULE_ALARM.findall(self._rule(request))}
        pages = client.get_paginator("describe_alarms").paginate()
        known = {alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]}
        if not names or names - known:
            missing = ", ".join(sorted(names - known)) or "none at all"
            raise ProvisioningError(f"The rule of {request.name} names no alarm that is: {missing}")
        client.put_composite_alarm(
            AlarmName=request.name,
            AlarmRule=self._rule(request),
            AlarmActions=request.properties.get("AlarmActions", []),
            AlarmDescription=request.properties.get("AlarmDescription", ""),
        )
        return _alarm(request.name)

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the alarm."""
        self._client("cloudwatch").delete_alarms(AlarmNames=[current.physical_id])

    @staticmethod
    def _rule(request: ResourceRequest) -> str:
        return str(request.properties["AlarmRule"])


class MetricFilter(ApiAdapter):
    """Metrics counted from log lines; moto stores the filter and counts nothing."""

    types: ClassVar = ("AWS::Logs::MetricFilter",)
    name_property: ClassVar = "FilterName"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Put the filter."""
        properties = request.properties
        self._client("logs").put_metric_filter(
            logGroupName=properties["LogGroupName"],
            filterName=request.name,
            filterPattern=properties["FilterPattern"],
            metricTransformations=[
                {
                    "metricName": each["MetricName"],
                    "metricNamespace": each["MetricNamespace"],
                    "metricValue": str(each["MetricValue"]),
                    "defaultValue": float(each.get("DefaultValue", 0)),
                }
                for each in properties["MetricTransformations"]
            ],
        )
        return Provisioned(request.name)

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the filter."""
        self._client("logs").delete_metric_filter(
            logGroupName=request.properties["LogGroupName"], filterName=current.physical_id
        )


def _alarm(name: str) -> Provisioned:
    return Provisioned(name, {"Arn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT_ID}:alarm:{name}"})


def _typed(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _typed(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner) for inner in value]
    if key in _INTEGERS:
        return int(value)
    if key == "ReturnData":
        return str(value).lower() == "true"
    return float(value) if key == "Threshold" else value


def cloudwatch_adapters(aws_url: str) -> list[ResourceAdapter]:
    """All adapters of this file."""
    # moto stores both kinds by one method, and forgot to let the other action call it.
    CloudWatchResponse.put_composite_alarm = CloudWatchResponse.put_metric_alarm
    return [Alarm(aws_url), CompositeAlarm(aws_url), MetricFilter(aws_url)]

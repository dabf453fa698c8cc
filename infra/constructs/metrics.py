"""Metrics that alarms and the dashboard look at."""

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

from nvfp4_ddim_contracts.operations import metrics_namespace

from .async_endpoint import VARIANT

__all__ = ["FIVE_MINUTES", "ONE_MINUTE", "ServiceMetrics"]

ONE_MINUTE = cdk.Duration.minutes(1)
FIVE_MINUTES = cdk.Duration.minutes(5)


@dataclass(frozen=True)
class ServiceMetrics:
    """One stage's metrics, by where they come from."""

    stage: str
    api_name: str
    endpoint_name: str

    def own(
        self,
        name: str,
        handler: str,
        statistic: str = cloudwatch.Stats.SUM,
        *,
        period: cdk.Duration = FIVE_MINUTES,
        label: str | None = None,
    ) -> cloudwatch.Metric:
        """What a function counts itself."""
        return cloudwatch.Metric(
            namespace=metrics_namespace(self.stage),
            metric_name=name,
            dimensions_map={"service": handler},
            statistic=statistic,
            period=period,
            label=label or name,
        )

    def own_of_all(self, name: str) -> cloudwatch.MathExpression:
        """The same count of every function, one line each; for the dashboard alone."""
        namespace = metrics_namespace(self.stage)
        return cloudwatch.MathExpression(
            expression=f"SEARCH('{{{namespace},service}} MetricName=\"{name}\"', 'Sum', 300)",
            using_metrics={},
            label="",
            period=FIVE_MINUTES,
        )

    def server_errors(self) -> cloudwatch.Metric:
        """Answers that are the service's own fault, by the access log."""
        return cloudwatch.Metric(
            namespace=metrics_namespace(self.stage),
            metric_name="ServerErrors",
            statistic=cloudwatch.Stats.SUM,
            period=FIVE_MINUTES,
        )

    def api(
        self, name: str, statistic: str = cloudwatch.Stats.SUM, label: str | None = None
    ) -> cloudwatch.Metric:
        """API Gateway's."""
        return cloudwatch.Metric(
            namespace="AWS/ApiGateway",
            metric_name=name,
            dimensions_map={"ApiName": self.api_name, "Stage": self.stage},
            statistic=statistic,
            period=FIVE_MINUTES,
            label=label or name,
        )

    def endpoint_queue(
        self, name: str, statistic: str = cloudwatch.Stats.MAXIMUM
    ) -> cloudwatch.Metric:
        """The endpoint's queue; these metrics carry the endpoint's name alone."""
        return cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name=name,
            dimensions_map={"EndpointName": self.endpoint_name},
            statistic=statistic,
            period=ONE_MINUTE,
        )

    def endpoint_outcome(self, name: str) -> cloudwatch.Metric:
        """How invocations ended; unlike the queue's, these metrics carry the variant too."""
        return cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name=name,
            dimensions_map={"EndpointName": self.endpoint_name, "VariantName": VARIANT},
            statistic=cloudwatch.Stats.SUM,
            period=FIVE_MINUTES,
        )

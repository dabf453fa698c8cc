"""Seeing how the stage is doing: alarms, their topic, the dashboard, the budget."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.constructs.alarms import ServiceAlarms
from infra.constructs.budget import MonthlyBudget
from infra.constructs.dashboard import ServiceDashboard
from infra.constructs.metrics import ServiceMetrics
from infra.constructs.queues import EncryptedTopic
from infra.stages import StageConfig
from nvfp4_ddim_contracts.operations import metrics_namespace

from .api import ApiStack
from .batch import BatchStack
from .inference import InferenceStack
from .quantization import QuantizationStack
from .storage import StorageStack

__all__ = ["ObservabilityStack"]

# 503 is no error of ours: a picture that is not ready yet, or a service that was stopped.
_SERVER_ERRORS = '{ ($.status = "5*") && ($.status != "503") }'


class ObservabilityStack(cdk.Stack):
    """Looks at the other stacks; none of them knows it."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        storage: StorageStack,
        inference: InferenceStack,
        batch: BatchStack,
        quantization: QuantizationStack,
        api: ApiStack,
        env: cdk.Environment | None = None,
    ) -> None:
        """Define the stack."""
        super().__init__(
            scope, construct_id, env=env, description="nvfp4-ddim: alarms, dashboard and budget"
        )
        # By its ARN alone: no statement may flow back into the storage stack.
        key = kms.Key.from_key_arn(self, "Key", storage.key.key_arn)
        topic = EncryptedTopic(self, "Alarms", key=key)
        topic.allow_budgets()
        if config.spending.mail:
            topic.add_subscription(subscriptions.EmailSubscription(config.spending.mail))
        metrics = ServiceMetrics(
            stage=config.name,
            api_name=api.http.name,
            endpoint_name=inference.endpoint.endpoint.attr_endpoint_name,
        )
        logs.MetricFilter(
            self,
            "ServerErrors",
            log_group=api.http.access_log,
            filter_pattern=logs.FilterPattern.literal(_SERVER_ERRORS),
            metric_namespace=metrics_namespace(config.name),
            metric_name="ServerErrors",
            metric_value="1",
            default_value=0,
        )
        sources = {
            **api.dead_letters,
            **batch.dead_letters,
            **quantization.dead_letters,
            "stop": inference.spending_stop.dead_letters,
        }
        dead_letters = {name: source.queue for name, source in sources.items()}
        ServiceAlarms(
            self,
            "Service",
            topic=topic,
            metrics=metrics,
            dead_letters=dead_letters,
            dispatch=api.dispatch,
            lanes=inference.functions,
            batches=batch.machine,
            quantizations=quantization.machine,
        )
        dashboard = ServiceDashboard(self, "Dashboard", metrics=metrics, dead_letters=dead_letters)
        MonthlyBudget(
            self,
            "Monthly",
            stage=config.name,
            limit=config.spending,
            warnings=topic,
            stop=inference.spending_stop.topic,
        )
        for name, value, description in (
            ("AlarmTopicArn", topic.topic_arn, "Subscribe to hear of trouble"),
            ("DashboardName", dashboard.name, "In CloudWatch"),
        ):
            cdk.CfnOutput(self, name, value=value, description=description)

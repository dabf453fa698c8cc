"""Alarms on what users would notice: work that got lost, stuck or refused."""

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from .async_endpoint import VARIANT
from .queues import EncryptedTopic

__all__ = ["ServiceAlarms"]

_MINUTE = cdk.Duration.minutes(1)
_FIVE_MINUTES = cdk.Duration.minutes(5)


class ServiceAlarms(Construct):
    """One topic that operators subscribe to, and the alarms that write to it.

    Attributes:
        topic: Where alarms go.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key: kms.IKey,
        dead_letters: Mapping[str, sqs.IQueue],
        dispatch: lambda_.IFunction,
        endpoint_name: str,
    ) -> None:
        """Define topic and alarms."""
        super().__init__(scope, construct_id)
        self.topic = EncryptedTopic(self, "Topic", key=key)
        for name, queue in dead_letters.items():
            self._alarm(
                f"{name.title()}DeadLetters",
                queue.metric_approximate_number_of_messages_visible(period=_MINUTE),
                1,
                f"Messages of '{name}' failed for good and wait in the dead-letter queue.",
            )
        self._alarm(
            "DispatchBehind",
            dispatch.metric("IteratorAge", statistic=cloudwatch.Stats.MAXIMUM, period=_MINUTE),
            cdk.Duration.minutes(5).to_milliseconds(),
            "Queued jobs have waited for dispatch for over five minutes.",
        )
        for metric, description in (
            ("InvocationFailures", "Asynchronous inference failed."),
            ("ExpiredRequests", "Requests waited at the endpoint until they expired."),
            ("NotificationFailures", "SageMaker could not say how a request went."),
        ):
            self._alarm(
                metric,
                cloudwatch.Metric(
                    namespace="AWS/SageMaker",
                    metric_name=metric,
                    # Unlike the queue's metrics, these carry the variant too.
                    dimensions_map={"EndpointName": endpoint_name, "VariantName": VARIANT},
                    statistic=cloudwatch.Stats.SUM,
                    period=_FIVE_MINUTES,
                ),
                1,
                description,
            )

    def _alarm(
        self, name: str, metric: cloudwatch.IMetric, threshold: float, description: str
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))

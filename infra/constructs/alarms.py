"""Alarms on what users would notice: work that got lost, stuck, refused or failed.

Each has an entry in docs/runbook.md. The one alarm that is defined elsewhere wakes the endpoint
(`endpoint_scaling`) and tells nobody.
"""

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.runbook import alarm_description
from nvfp4_ddim_contracts import Lane

from .metrics import ONE_MINUTE, ServiceMetrics

__all__ = ["ServiceAlarms"]

_FIVE_MINUTES = cdk.Duration.minutes(5)
_DISPATCH_BEHIND = cdk.Duration.minutes(5)
_OLDEST_REQUEST = cdk.Duration.minutes(20)
# A cold start of an instance and its container takes up to ten minutes.
_MINUTES_WITHOUT_CAPACITY = 15
_FAILED_JOBS = 3
_MACHINE_KEPT = (
    " One instance of the real-time endpoint is still paid, until its lane is taken out of the "
    "stage."
)
_SERVER_ERRORS = 3


class ServiceAlarms(Construct):
    """The alarms, each of which writes to the topic, and one that sums them up."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        topic: sns.ITopic,
        metrics: ServiceMetrics,
        dead_letters: Mapping[str, sqs.IQueue],
        dispatch: lambda_.IFunction,
        lanes: Mapping[Lane, lambda_.IFunction],
        batches: sfn.IStateMachine,
        quantizations: sfn.IStateMachine,
    ) -> None:
        """Define the alarms.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            topic: Gets every change to the worse.
            metrics: The stage's metrics.
            dead_letters: Every dead-letter queue, by what it holds.
            dispatch: Feeds the endpoint from the job table.
            lanes: What it hands jobs of the other lanes to.
            batches: Runs batches.
            quantizations: Runs quantisations.
        """
        super().__init__(scope, construct_id)
        self._topic, self._metrics = topic, metrics
        stopped = self._stopped(keeps_machine=Lane.REALTIME in lanes)
        unhealthy = [
            *self._stuck(dispatch),
            *(self._lane_behind(lane, function) for lane, function in lanes.items()),
            *self._failing(),
            *self._executions("Batches", batches, "A batch ended without all that it was to make."),
            *self._executions(
                "Quantizations", quantizations, "A dropped model was not quantised or published."
            ),
            *(self._dead_letters(name, queue) for name, queue in dead_letters.items()),
        ]
        self._sum_up([*unhealthy, stopped])

    def _stuck(self, dispatch: lambda_.IFunction) -> list[cloudwatch.Alarm]:
        return [
            self._alarm(
                "DispatchBehind",
                dispatch.metric(
                    "IteratorAge", statistic=cloudwatch.Stats.MAXIMUM, period=ONE_MINUTE
                ),
                _DISPATCH_BEHIND.to_milliseconds(),
                "Queued jobs have waited for dispatch for over five minutes.",
            ),
            self._alarm(
                "OldestRequest",
                self._metrics.endpoint_queue("ApproximateAgeOfOldestRequest"),
                _OLDEST_REQUEST.to_seconds(),
                "A request has waited at the endpoint for over twenty minutes.",
            ),
            self._alarm(
                "NoCapacity",
                self._metrics.endpoint_queue("HasBacklogWithoutCapacity", cloudwatch.Stats.MINIMUM),
                1,
                "Requests have waited for a quarter of an hour and no machine runs.",
                periods=_MINUTES_WITHOUT_CAPACITY,
            ),
        ]

    def _lane_behind(self, lane: Lane, function: lambda_.IFunction) -> cloudwatch.Alarm:
        return self._alarm(
            f"{lane.title()}LaneBehind",
            function.metric("AsyncEventAge", statistic=cloudwatch.Stats.MAXIMUM, period=ONE_MINUTE),
            _OLDEST_REQUEST.to_milliseconds(),
            f"A job has waited for the {lane} lane for over twenty minutes.",
            entry="LaneBehind",
        )

    def _failing(self) -> list[cloudwatch.Alarm]:
        alarms = [
            self._alarm(name, self._metrics.endpoint_outcome(name), 1, text)
            for name, text in (
                ("InvocationFailures", "Asynchronous inference failed."),
                ("ExpiredRequests", "Requests waited at the endpoint until they expired."),
                ("NotificationFailures", "SageMaker could not say how a request went."),
            )
        ]
        return [
            *alarms,
            self._alarm(
                "FailedJobs",
                self._metrics.own("AttemptsFailed", "record_result"),
                _FAILED_JOBS,
                "Several jobs failed for good within five minutes.",
            ),
            self._alarm(
                "ExpiredJobs",
                self._metrics.own("JobsExpired", "sweep_jobs"),
                1,
                "Jobs did not end before their deadlines.",
            ),
            self._alarm(
                "ServerErrors",
                self._metrics.server_errors(),
                _SERVER_ERRORS,
                "The API answered several times with an error of its own (5xx, 503 left out).",
            ),
        ]

    def _executions(
        self, name: str, machine: sfn.IStateMachine, text: str
    ) -> list[cloudwatch.Alarm]:
        return [
            self._alarm(f"{name}{ending}", metric, 1, text, entry=f"{name}Failed")
            for ending, metric in (
                ("Failed", machine.metric_failed(period=_FIVE_MINUTES)),
                ("TimedOut", machine.metric_timed_out(period=_FIVE_MINUTES)),
            )
        ]

    def _dead_letters(self, name: str, queue: sqs.IQueue) -> cloudwatch.Alarm:
        return self._alarm(
            f"{name.title().replace('_', '').replace('-', '')}DeadLetters",
            queue.metric_approximate_number_of_messages_visible(period=ONE_MINUTE),
            1,
            f"Messages of '{name}' failed for good and wait in the dead-letter queue.",
            entry="DeadLetters",
        )

    def _stopped(self, *, keeps_machine: bool) -> cloudwatch.Alarm:
        refused = {
            f"refused{number}": self._metrics.own("JobsRefused", handler)
            for number, handler in enumerate(("create_job", "create_image"))
        }
        return self._alarm(
            "ServiceStopped",
            cloudwatch.MathExpression(
                # A metric without data would make the sum one without data.
                expression="FILL(stopped, 0) + FILL(refused0, 0) + FILL(refused1, 0)",
                using_metrics={
                    "stopped": self._metrics.own("ServiceStopped", "stop_spending"),
                    **refused,
                },
                label="Stops and refusals",
            ),
            1,
            "The service is stopped: the month's budget is used up, or an operator stopped it."
            + (_MACHINE_KEPT if keeps_machine else ""),
        )

    def _sum_up(self, alarms: list[cloudwatch.Alarm]) -> None:
        unhealthy = cloudwatch.CompositeAlarm(
            self,
            "ServiceUnhealthy",
            alarm_description=alarm_description(
                "At least one of the service's alarms is on.", "ServiceUnhealthy"
            ),
            alarm_rule=cloudwatch.AlarmRule.any_of(
                *(
                    cloudwatch.AlarmRule.from_alarm(alarm, cloudwatch.AlarmState.ALARM)
                    for alarm in alarms
                )
            ),
        )
        unhealthy.add_alarm_action(actions.SnsAction(self._topic))

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        text: str,
        *,
        periods: int = 1,
        entry: str | None = None,
    ) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_description=alarm_description(text, entry or name),
            metric=metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=periods,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self._topic))
        return alarm

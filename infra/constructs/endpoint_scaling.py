"""Scaling an asynchronous endpoint between zero, or what a warm window keeps, and its limit.

Source: SageMaker Developer Guide, "Autoscale an asynchronous endpoint". The queue's metrics carry
the dimension EndpointName alone; a policy that adds the variant never fires.
"""

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from infra.runbook import alarm_description
from infra.stages import InferenceCapacity
from nvfp4_ddim_contracts.operations import ScalableTarget

__all__ = ["EndpointScaling", "ScaledEndpoint"]

_SCALE_OUT_COOLDOWN = cdk.Duration.minutes(2)
# One launch takes minutes; adding another while it is under way would be waste.
_WAKE_COOLDOWN = cdk.Duration.minutes(5)


@dataclass(frozen=True)
class ScaledEndpoint:
    """An endpoint whose number of machines is bounded.

    Attributes:
        endpoint_arn: The endpoint.
        limits: The bounds, those of a stopped service as well.
    """

    endpoint_arn: str
    limits: ScalableTarget

    @classmethod
    def of(
        cls,
        endpoint_arn: str,
        endpoint_name: str,
        variant: str,
        *,
        min_capacity: int,
        max_capacity: int,
        stopped_capacity: int,
    ) -> "ScaledEndpoint":
        """The bounds of one variant."""
        limits = ScalableTarget.model_construct(
            # Not validated: until the deployment, the endpoint's name is a placeholder.
            resource_id=f"endpoint/{endpoint_name}/variant/{variant}",
            min_capacity=min_capacity,
            max_capacity=max_capacity,
            stopped_capacity=stopped_capacity,
        )
        return cls(endpoint_arn, limits)


class EndpointScaling(Construct):
    """Target tracking on the backlog per instance, and a step that wakes the endpoint from zero.

    At zero instances the backlog per instance does not exist, so that tracking alone would never
    start the first one.

    Attributes:
        scaled: For whoever stops the endpoint and lets it run again.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint_arn: str,
        endpoint_name: str,
        variant: str,
        capacity: InferenceCapacity,
    ) -> None:
        """Define target and both policies."""
        super().__init__(scope, construct_id)
        self.scaled = ScaledEndpoint.of(
            endpoint_arn,
            endpoint_name,
            variant,
            min_capacity=0,
            max_capacity=capacity.max_instances,
            stopped_capacity=0,
        )
        target = scaling.ScalableTarget(
            self,
            "Target",
            service_namespace=scaling.ServiceNamespace.SAGEMAKER,
            resource_id=self.scaled.limits.resource_id,
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            min_capacity=0,
            max_capacity=capacity.max_instances,
        )
        for number, window in enumerate(capacity.warm_windows):
            for name, cron, instances in (
                ("Warm", window.start, window.instances),
                ("Cool", window.end, 0),
            ):
                target.scale_on_schedule(
                    f"{name}{number}",
                    schedule=scaling.Schedule.expression(f"cron({cron})"),
                    min_capacity=instances,
                )
        target.scale_to_track_metric(
            "Backlog",
            custom_metric=_queue_metric("ApproximateBacklogSizePerInstance", endpoint_name),
            target_value=capacity.backlog_per_instance,
            scale_in_cooldown=cdk.Duration.seconds(capacity.scale_in_cooldown_seconds),
            scale_out_cooldown=_SCALE_OUT_COOLDOWN,
        )
        wake = scaling.StepScalingAction(
            self,
            "Wake",
            scaling_target=target,
            adjustment_type=scaling.AdjustmentType.CHANGE_IN_CAPACITY,
            cooldown=_WAKE_COOLDOWN,
        )
        wake.add_adjustment(adjustment=1, lower_bound=0)
        alarm = cloudwatch.Alarm(
            self,
            "WorkWithoutCapacity",
            alarm_description=alarm_description(
                "Requests wait and no instance runs: one is started.", "WorkWithoutCapacity"
            ),
            metric=_queue_metric("HasBacklogWithoutCapacity", endpoint_name),
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.MISSING,
        )
        alarm.add_alarm_action(actions.ApplicationScalingAction(wake))


def _queue_metric(name: str, endpoint_name: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/SageMaker",
        metric_name=name,
        dimensions_map={"EndpointName": endpoint_name},
        statistic=cloudwatch.Stats.AVERAGE,
        period=cdk.Duration.minutes(1),
    )

"""Endpoints that answer while one waits, real-time or serverless, and the function that calls them.

The dispatcher does not wait: it hands an attempt to the function, which calls the endpoint and
leaves the answer as asynchronous inference does.
"""

from collections.abc import Callable

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.lambda_bundle import LambdaBundle
from infra.lane_options import RealtimeLane, ServerlessLane
from infra.stages import StageConfig
from lambdas.settings import CallEndpointSettings
from nvfp4_ddim_contracts.keys import (
    ASYNC_FAILURE_PREFIX,
    ASYNC_INPUT_PREFIX,
    ASYNC_OUTPUT_PREFIX,
)
from nvfp4_ddim_contracts.table import JOB_PARTITIONS

from .async_failures import FailuresToTopic
from .endpoint_scaling import ScaledEndpoint
from .grants import allow, allow_key_use, list_objects, read_objects, write_objects
from .inference_model import InferenceModels
from .job_places import JobStorage, OutcomeTopics
from .python_function import PythonFunction, environment_for

__all__ = ["EndpointLane", "realtime_variant", "scale_with_invocations", "serverless_variant"]

VARIANT = "AllTraffic"
Variant = Callable[[str], sagemaker.CfnEndpointConfig.ProductionVariantProperty]
# SageMaker waits for 60 s; the server answers before that, with a problem that says why.
_SERVER_SECONDS = "55"
_CALL_TIMEOUT = cdk.Duration.seconds(90)


class EndpointLane(Construct):
    """One endpoint and its caller.

    Attributes:
        endpoint: The endpoint.
        function: What the dispatcher hands attempts to.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        bundle: LambdaBundle,
        models: InferenceModels,
        mounted: bool,
        variant: Variant,
        storage: JobStorage,
        outcomes: OutcomeTopics,
    ) -> None:
        """Define both.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            config: The stage.
            bundle: The functions' code.
            models: Makes the endpoint's model.
            mounted: Whether SageMaker mounts the model's artifact.
            variant: Makes the endpoint's machines, given the model's name.
            storage: Where jobs, requests and answers lie.
            outcomes: Told of answers, and of failures, the function's own too.
        """
        super().__init__(scope, construct_id)
        self.model = models.add(
            construct_id,
            mounted=mounted,
            environment={"SERVER_REQUEST_TIMEOUT_SECONDS": _SERVER_SECONDS},
        )
        settings = sagemaker.CfnEndpointConfig(
            self,
            "Config",
            production_variants=[variant(self.model.attr_model_name)],
        )
        self.endpoint = sagemaker.CfnEndpoint(
            self, "Endpoint", endpoint_config_name=settings.attr_endpoint_config_name
        )
        values = {
            "TABLE_NAME": storage.table.table_name,
            "RESULTS_BUCKET": storage.results.bucket_name,
            "CALLED_ENDPOINT_NAME": self.endpoint.attr_endpoint_name,
            "SUCCESS_TOPIC_ARN": outcomes.succeeded.topic_arn,
            "ERROR_TOPIC_ARN": outcomes.failed.topic_arn,
        }
        self.function = PythonFunction(
            self,
            "Call",
            config=config,
            bundle=bundle,
            handler="call_endpoint",
            timeout=_CALL_TIMEOUT,
            environment=environment_for(CallEndpointSettings, values),
        )
        FailuresToTopic(
            self, "Failures", function=self.function, topic=outcomes.failed, config=config
        )
        storage.table.allow(self.function, "GetItem")
        storage.table.allow(self.function, "UpdateItem", partition=JOB_PARTITIONS)
        read_objects(self.function, storage.results, f"{ASYNC_INPUT_PREFIX}*")
        list_objects(self.function, storage.results, ASYNC_INPUT_PREFIX)
        for prefix in (ASYNC_OUTPUT_PREFIX, ASYNC_FAILURE_PREFIX):
            write_objects(self.function, storage.results, f"{prefix}*")
        allow(self.function, ["sagemaker:InvokeEndpoint"], [self.endpoint.ref])
        allow(self.function, ["sns:Publish"], outcomes.arns)
        allow_key_use(self.function, outcomes.key, encrypt=True)


def realtime_variant(
    lane: RealtimeLane, config: StageConfig, model_name: str
) -> sagemaker.CfnEndpointConfig.ProductionVariantProperty:
    """Machines that are always on."""
    return sagemaker.CfnEndpointConfig.ProductionVariantProperty(
        variant_name=VARIANT,
        model_name=model_name,
        instance_type=lane.instance_type,
        initial_instance_count=lane.min_instances,
        initial_variant_weight=1,
        inference_ami_version=config.capacity.inference_ami_version,
        container_startup_health_check_timeout_in_seconds=config.capacity.startup_timeout_seconds,
    )


def serverless_variant(
    lane: ServerlessLane, model_name: str
) -> sagemaker.CfnEndpointConfig.ProductionVariantProperty:
    """No machine of one's own."""
    return sagemaker.CfnEndpointConfig.ProductionVariantProperty(
        variant_name=VARIANT,
        model_name=model_name,
        initial_variant_weight=1,
        serverless_config=sagemaker.CfnEndpointConfig.ServerlessConfigProperty(
            memory_size_in_mb=lane.memory_mb, max_concurrency=lane.max_concurrency
        ),
    )


def scale_with_invocations(lane: EndpointLane, options: RealtimeLane) -> ScaledEndpoint:
    """Scale a real-time endpoint between its bounds, never to zero: nothing would queue there."""
    scaled = ScaledEndpoint.of(
        lane.endpoint.ref,
        lane.endpoint.attr_endpoint_name,
        VARIANT,
        min_capacity=options.min_instances,
        max_capacity=options.max_instances,
        stopped_capacity=1,
    )
    target = scaling.ScalableTarget(
        lane,
        "Target",
        service_namespace=scaling.ServiceNamespace.SAGEMAKER,
        resource_id=scaled.limits.resource_id,
        scalable_dimension="sagemaker:variant:DesiredInstanceCount",
        min_capacity=options.min_instances,
        max_capacity=options.max_instances,
    )
    target.scale_to_track_metric(
        "Invocations",
        predefined_metric=scaling.PredefinedMetric.SAGEMAKER_VARIANT_INVOCATIONS_PER_INSTANCE,
        target_value=options.invocations_per_instance,
        scale_in_cooldown=cdk.Duration.minutes(15),
        scale_out_cooldown=cdk.Duration.minutes(2),
    )
    return scaled

"""Asynchronous inference: models, endpoint config, endpoint, and the role they run with."""

from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.lane_options import InstancePool
from infra.model_release import ModelRelease
from infra.stages import ImageTarget, InferenceCapacity, StageConfig
from nvfp4_ddim_contracts.keys import (
    ASYNC_FAILURE_PREFIX,
    ASYNC_INPUT_PREFIX,
    ASYNC_OUTPUT_PREFIX,
)
from nvfp4_ddim_contracts.lanes import ASYNC_INVOCATION_SECONDS

from .grants import allow, read_objects, write_objects
from .inference_image import InferenceImage
from .inference_model import InferenceModels
from .job_places import JobStorage, OutcomeTopics

__all__ = ["VARIANT", "AsyncEndpoint"]

VARIANT = "AllTraffic"
_SPARE_SECONDS = 60
"""The server answers this much before SageMaker gives up on it."""


class AsyncEndpoint(Construct):
    """An endpoint that takes work from S3 and tells two topics how it went.

    Nothing here has a fixed name: CloudFormation replaces models and endpoint config on a change
    and points the endpoint at the new ones. Where there are instance pools, each has a model of
    its own: its container refuses to start where it insists on FP4 units and finds none, and knows
    the name of its machine, which nothing else tells.

    Attributes:
        endpoint: The endpoint.
        models: The models behind it, by instance type.
        role: What the container may do.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        release: ModelRelease,
        image: InferenceImage,
        storage: JobStorage,
        outcomes: OutcomeTopics,
    ) -> None:
        """Define the endpoint.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            config: The stage.
            release: The model in the registry.
            image: The inference server.
            storage: Where models, requests and progress lie.
            outcomes: Told of answers and failures.
        """
        super().__init__(scope, construct_id)
        gpu = config.capacity.image_target is ImageTarget.GPU
        models = InferenceModels(
            self,
            "Models",
            config=config,
            release=release,
            image=image,
            storage=storage,
            device="cuda" if gpu else "cpu",
        )
        self.role = models.role
        read_objects(self.role, storage.results, f"{ASYNC_INPUT_PREFIX}*")
        for prefix in (ASYNC_OUTPUT_PREFIX, ASYNC_FAILURE_PREFIX):
            write_objects(self.role, storage.results, f"{prefix}*")
        allow(self.role, ["sns:Publish"], outcomes.arns)
        pools = config.capacity.pools or (
            InstancePool(instance_type=config.capacity.instance_type),
        )
        self.models = {
            pool.instance_type: models.add(
                pool.instance_type.title().replace(".", ""),
                environment={
                    "SERVER_MIN_PRECISION": pool.min_precision,
                    "SERVER_INSTANCE_TYPE": pool.instance_type,
                    "SERVER_REQUEST_TIMEOUT_SECONDS": str(
                        ASYNC_INVOCATION_SECONDS - _SPARE_SECONDS
                    ),
                },
            )
            for pool in pools
        }
        endpoint_config = sagemaker.CfnEndpointConfig(
            self,
            "Config",
            production_variants=[_variant(config.capacity, self.models)],
            async_inference_config=_async_config(config, storage.results, outcomes),
        )
        self.endpoint = sagemaker.CfnEndpoint(
            self, "Endpoint", endpoint_config_name=endpoint_config.attr_endpoint_config_name
        )


def _variant(
    capacity: InferenceCapacity, models: dict[str, sagemaker.CfnModel]
) -> sagemaker.CfnEndpointConfig.ProductionVariantProperty:
    pools = [
        sagemaker.CfnEndpointConfig.InstancePoolProperty(
            instance_type=pool.instance_type,
            priority=priority,
            model_name_override=models[pool.instance_type].attr_model_name,
        )
        for priority, pool in enumerate(capacity.pools, start=1)
    ]
    return sagemaker.CfnEndpointConfig.ProductionVariantProperty(
        variant_name=VARIANT,
        # With pools it is never used: each overrides it. The last insists on least.
        model_name=[*models.values()][-1].attr_model_name,
        instance_type=None if pools else capacity.instance_type,
        instance_pools=pools or None,
        # SageMaker takes no zero here; scaling goes down to it once the endpoint is idle.
        initial_instance_count=1,
        initial_variant_weight=1,
        inference_ami_version=capacity.inference_ami_version,
        container_startup_health_check_timeout_in_seconds=capacity.startup_timeout_seconds,
    )


def _async_config(
    config: StageConfig, results: s3.IBucket, outcomes: OutcomeTopics
) -> sagemaker.CfnEndpointConfig.AsyncInferenceConfigProperty:
    return sagemaker.CfnEndpointConfig.AsyncInferenceConfigProperty(
        client_config=sagemaker.CfnEndpointConfig.AsyncInferenceClientConfigProperty(
            max_concurrent_invocations_per_instance=config.capacity.max_concurrent_invocations
        ),
        output_config=sagemaker.CfnEndpointConfig.AsyncInferenceOutputConfigProperty(
            s3_output_path=results.s3_url_for_object(ASYNC_OUTPUT_PREFIX),
            s3_failure_path=results.s3_url_for_object(ASYNC_FAILURE_PREFIX),
            kms_key_id=outcomes.key.key_arn,
            notification_config=sagemaker.CfnEndpointConfig.AsyncInferenceNotificationConfigProperty(
                success_topic=outcomes.succeeded.topic_arn,
                error_topic=outcomes.failed.topic_arn,
                include_inference_response_in=["ERROR_NOTIFICATION_TOPIC"],
            ),
        ),
    )

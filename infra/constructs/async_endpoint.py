"""Asynchronous inference: model, endpoint config, endpoint, and the role they run with."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.model_release import ModelRelease
from infra.nag import accept_finding, spelled
from infra.stages import ImageTarget, StageConfig
from nvfp4_ddim_contracts.keys import (
    ASYNC_FAILURE_PREFIX,
    ASYNC_INPUT_PREFIX,
    ASYNC_OUTPUT_PREFIX,
    MODELS_PREFIX,
)

from .grants import allow, list_objects, read_objects, write_objects
from .inference_image import InferenceImage
from .job_table import JobTable

__all__ = ["VARIANT", "AsyncEndpoint"]

VARIANT = "AllTraffic"


class AsyncEndpoint(Construct):
    """An endpoint that takes work from S3 and tells two topics how it went.

    Nothing here has a fixed name: CloudFormation replaces model and endpoint config on a change
    and points the endpoint at the new ones.

    Attributes:
        endpoint: The endpoint.
        model: The model behind it.
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
        artifacts: s3.IBucket,
        results: s3.IBucket,
        table: JobTable,
        key: kms.IKey,
        succeeded: sns.ITopic,
        failed: sns.ITopic,
    ) -> None:
        """Define the endpoint.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            config: The stage.
            release: The model in `artifacts`.
            image: The inference server.
            artifacts: Where SageMaker finds the model.
            results: Where requests are read and answers written.
            table: Where the container reports progress.
            key: Encrypts answers.
            succeeded: Topic for answers.
            failed: Topic for failures.
        """
        super().__init__(scope, construct_id)
        self.role = _execution_role(self, artifacts, results, table)
        image.grant_pull(self.role)
        allow(self.role, ["sns:Publish"], [succeeded.topic_arn, failed.topic_arn])
        self.model = sagemaker.CfnModel(
            self,
            "Model",
            execution_role_arn=self.role.role_arn,
            primary_container=_container(config, release, image, artifacts, table),
        )
        # The role's policy has to be attached before SageMaker looks at the artifact.
        self.model.node.add_dependency(self.role)
        endpoint_config = sagemaker.CfnEndpointConfig(
            self,
            "Config",
            production_variants=[_variant(config, self.model)],
            async_inference_config=_async_config(config, results, key, succeeded, failed),
        )
        self.endpoint = sagemaker.CfnEndpoint(
            self, "Endpoint", endpoint_config_name=endpoint_config.attr_endpoint_config_name
        )


def _execution_role(
    scope: Construct,
    artifacts: s3.IBucket,
    results: s3.IBucket,
    table: JobTable,
) -> iam.Role:
    stack = cdk.Stack.of(scope)
    group = "log-group:/aws/sagemaker/Endpoints/*"
    role = iam.Role(
        scope,
        "Role",
        assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
        description="Runs the inference container and asynchronous inference around it.",
    )
    # Requests may name any model of the registry, and older artifacts are still in use while the
    # endpoint is updated.
    read_objects(role, artifacts, f"{MODELS_PREFIX}*")
    list_objects(role, artifacts, MODELS_PREFIX)
    read_objects(role, results, f"{ASYNC_INPUT_PREFIX}*")
    for prefix in (ASYNC_OUTPUT_PREFIX, ASYNC_FAILURE_PREFIX):
        write_objects(role, results, f"{prefix}*")
    table.allow(role, "UpdateItem")
    allow(
        role,
        [
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
        ],
        [f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:{group}"],
    )
    partition, region, account = (
        spelled(scope, part) for part in (stack.partition, stack.region, stack.account)
    )
    accept_finding(
        role,
        "SageMaker names the log group after the endpoint, which CloudFormation names.",
        f"IAM5[Resource::arn:{partition}:logs:{region}:{account}:{group}]",
    )
    return role


def _container(
    config: StageConfig,
    release: ModelRelease,
    image: InferenceImage,
    artifacts: s3.IBucket,
    table: JobTable,
) -> sagemaker.CfnModel.ContainerDefinitionProperty:
    gpu = config.capacity.image_target is ImageTarget.GPU
    return sagemaker.CfnModel.ContainerDefinitionProperty(
        image=image.uri,
        model_data_source=sagemaker.CfnModel.ModelDataSourceProperty(
            s3_data_source=sagemaker.CfnModel.S3DataSourceProperty(
                s3_uri=artifacts.s3_url_for_object(release.prefix),
                s3_data_type="S3Prefix",
                compression_type="None",
            )
        ),
        environment={
            "MODEL_NAME": release.live.name,
            "ARTIFACT_BUCKET": artifacts.bucket_name,
            "JOB_TABLE_NAME": table.table_name,
            "SERVER_DEVICE": "cuda" if gpu else "cpu",
            "LOG_LEVEL": config.log_level,
        },
    )


def _variant(
    config: StageConfig, model: sagemaker.CfnModel
) -> sagemaker.CfnEndpointConfig.ProductionVariantProperty:
    capacity = config.capacity
    return sagemaker.CfnEndpointConfig.ProductionVariantProperty(
        variant_name=VARIANT,
        model_name=model.attr_model_name,
        instance_type=capacity.instance_type,
        # SageMaker takes no zero here; scaling goes down to it once the endpoint is idle.
        initial_instance_count=1,
        initial_variant_weight=1,
        inference_ami_version=capacity.inference_ami_version,
        container_startup_health_check_timeout_in_seconds=capacity.startup_timeout_seconds,
    )


def _async_config(
    config: StageConfig,
    results: s3.IBucket,
    key: kms.IKey,
    succeeded: sns.ITopic,
    failed: sns.ITopic,
) -> sagemaker.CfnEndpointConfig.AsyncInferenceConfigProperty:
    return sagemaker.CfnEndpointConfig.AsyncInferenceConfigProperty(
        client_config=sagemaker.CfnEndpointConfig.AsyncInferenceClientConfigProperty(
            max_concurrent_invocations_per_instance=config.capacity.max_concurrent_invocations
        ),
        output_config=sagemaker.CfnEndpointConfig.AsyncInferenceOutputConfigProperty(
            s3_output_path=results.s3_url_for_object(ASYNC_OUTPUT_PREFIX),
            s3_failure_path=results.s3_url_for_object(ASYNC_FAILURE_PREFIX),
            kms_key_id=key.key_arn,
            notification_config=sagemaker.CfnEndpointConfig.AsyncInferenceNotificationConfigProperty(
                success_topic=succeeded.topic_arn,
                error_topic=failed.topic_arn,
                include_inference_response_in=["ERROR_NOTIFICATION_TOPIC"],
            ),
        ),
    )

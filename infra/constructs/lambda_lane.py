"""The inference image as a Lambda function: no idle cost, and a start in seconds."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.lane_options import Architecture, LambdaLane
from infra.model_release import ModelRelease
from infra.nag import accept_finding
from infra.stages import StageConfig
from nvfp4_ddim_contracts.keys import (
    ASYNC_FAILURE_PREFIX,
    ASYNC_INPUT_PREFIX,
    ASYNC_OUTPUT_PREFIX,
    MODELS_PREFIX,
    UPLOADS_PREFIX,
)
from nvfp4_ddim_contracts.table import STOP_PARTITION

from .async_failures import FailuresToTopic
from .grants import allow, allow_key_use, list_objects, read_objects, write_objects
from .inference_image import function_image
from .job_places import JobStorage, OutcomeTopics
from .python_function import log_retention

__all__ = ["InferenceFunction"]

_STORE = "/tmp/nvfp4-ddim"  # noqa: S108 - the only place that a function may write to
# Lambda stops a function without a word; the server's own time is a little shorter.
_SPARE_SECONDS = 20


class InferenceFunction(lambda_.DockerImageFunction):
    """Carries out what the dispatcher hands over, and tells the topics of inference how it went."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        lane: LambdaLane,
        release: ModelRelease,
        image_uri: str | None,
        storage: JobStorage,
        outcomes: OutcomeTopics,
    ) -> None:
        """Define the function.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            config: The stage.
            lane: Its size.
            release: The model that it serves first; it fetches any other by name.
            image_uri: An image in ECR to use instead of building one.
            storage: Where models, requests, answers and progress lie.
            outcomes: Told of answers, and of failures, its own and those that Lambda reports.
        """
        group = logs.LogGroup(
            scope,
            f"{construct_id}Logs",
            retention=log_retention(config.log_retention_days),
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        role = iam.Role(
            scope,
            f"{construct_id}Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description="Runs the inference image as a function.",
        )
        group.grant_write(role)
        super().__init__(
            scope,
            construct_id,
            description=f"nvfp4-ddim {config.name}: inference",
            code=function_image(lane.architecture, image_uri, scope),
            architecture=_ARCHITECTURES[lane.architecture],
            role=role,
            log_group=group,
            memory_size=lane.memory_mb,
            ephemeral_storage_size=cdk.Size.mebibytes(lane.storage_mb),
            timeout=cdk.Duration.seconds(lane.timeout_seconds),
            reserved_concurrent_executions=lane.max_concurrency,
            tracing=lambda_.Tracing.ACTIVE,
            environment={
                **_settings(config, lane),
                "MODEL_NAME": release.live.name,
                "ARTIFACT_BUCKET": storage.artifacts.bucket_name,
                "UPLOAD_BUCKET": storage.results.bucket_name,
                "JOB_TABLE_NAME": storage.table.table_name,
                "SUCCESS_TOPIC_ARN": outcomes.succeeded.topic_arn,
                "ERROR_TOPIC_ARN": outcomes.failed.topic_arn,
            },
        )
        accept_finding(
            role, "X-Ray's two write actions know no resource to restrict.", "IAM5[Resource::*]"
        )
        read_objects(role, storage.artifacts, f"{MODELS_PREFIX}*")
        list_objects(role, storage.artifacts, MODELS_PREFIX)
        read_objects(role, storage.results, f"{ASYNC_INPUT_PREFIX}*")
        read_objects(role, storage.results, f"{UPLOADS_PREFIX}*")
        list_objects(role, storage.results, UPLOADS_PREFIX)
        for prefix in (ASYNC_OUTPUT_PREFIX, ASYNC_FAILURE_PREFIX):
            write_objects(role, storage.results, f"{prefix}*")
        storage.table.allow(role, "UpdateItem")
        storage.table.allow(role, "GetItem", partition=STOP_PARTITION)
        allow(role, ["sns:Publish"], outcomes.arns)
        allow_key_use(role, outcomes.key, encrypt=True)
        FailuresToTopic(
            scope, f"{construct_id}Failures", function=self, topic=outcomes.failed, config=config
        )


_ARCHITECTURES = {
    Architecture.X86_64: lambda_.Architecture.X86_64,
    Architecture.ARM64: lambda_.Architecture.ARM_64,
}


def _settings(config: StageConfig, lane: LambdaLane) -> dict[str, str]:
    # The decompressed copy of a model takes about as much disk as the model.
    disk = lane.storage_mb * 2**20 // 3
    return {
        "SERVER_MODEL_SOURCE": "registry",
        "SERVER_DEVICE": "cpu",
        "SERVER_MODEL_CACHE_DIR": f"{_STORE}/models",
        "SERVER_MODEL_DISK_BYTES": str(disk),
        "SERVER_MODEL_MEMORY_BYTES": str(lane.memory_mb * 2**20 // 4),
        "SERVER_REQUEST_TIMEOUT_SECONDS": str(lane.timeout_seconds - _SPARE_SECONDS),
        "XDG_CACHE_HOME": f"{_STORE}/cache",
        "HOME": _STORE,
        "LOG_LEVEL": config.log_level,
    }

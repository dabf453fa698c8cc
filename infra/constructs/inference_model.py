"""A SageMaker model of the inference image, and the role that its containers run with."""

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.model_release import ModelRelease
from infra.nag import accept_finding, spelled
from infra.stages import StageConfig
from nvfp4_ddim_contracts.keys import MODELS_PREFIX, UPLOADS_PREFIX

from .grants import allow, list_objects, read_objects
from .inference_image import InferenceImage
from .job_places import JobStorage

__all__ = ["InferenceModels"]

_LOG_GROUP = "log-group:/aws/sagemaker/Endpoints/*"


class InferenceModels(Construct):
    """Makes models that differ in their environment, all with one role.

    Attributes:
        role: What the containers may do: read models and uploads, write progress and logs.
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
        device: str,
    ) -> None:
        """Define the role.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            config: The stage.
            release: The model in the registry.
            image: The inference server.
            storage: Where models, callers' uploads and progress lie.
            device: What they compute on: cpu or cuda.
        """
        super().__init__(scope, construct_id)
        self._config, self._release, self._image = config, release, image
        self._storage, self._device = storage, device
        self.role = _execution_role(self, storage)
        image.grant_pull(self.role)

    def add(
        self, construct_id: str, *, mounted: bool = True, environment: Mapping[str, str]
    ) -> sagemaker.CfnModel:
        """Define a model.

        Args:
            construct_id: Id below this construct.
            mounted: Whether SageMaker mounts the artifact; else the container fetches it, as it
                must where SageMaker mounts nothing.
            environment: Variables beside those that all containers have.
        """
        source = None
        if mounted:
            source = sagemaker.CfnModel.ModelDataSourceProperty(
                s3_data_source=sagemaker.CfnModel.S3DataSourceProperty(
                    s3_uri=self._storage.artifacts.s3_url_for_object(self._release.prefix),
                    s3_data_type="S3Prefix",
                    compression_type="None",
                )
            )
        model = sagemaker.CfnModel(
            self,
            construct_id,
            execution_role_arn=self.role.role_arn,
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                image=self._image.uri,
                model_data_source=source,
                environment={
                    "MODEL_NAME": self._release.live.name,
                    "SERVER_MODEL_SOURCE": "directory" if mounted else "registry",
                    "ARTIFACT_BUCKET": self._storage.artifacts.bucket_name,
                    "UPLOAD_BUCKET": self._storage.results.bucket_name,
                    "JOB_TABLE_NAME": self._storage.table.table_name,
                    "SERVER_DEVICE": self._device,
                    "LOG_LEVEL": self._config.log_level,
                    **environment,
                },
            ),
        )
        # The role's policy has to be attached before SageMaker looks at the artifact.
        model.node.add_dependency(self.role)
        return model


def _execution_role(scope: Construct, storage: JobStorage) -> iam.Role:
    stack = cdk.Stack.of(scope)
    role = iam.Role(
        scope,
        "Role",
        assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
        description="Runs the inference container.",
    )
    # Requests may name any model of the registry, and older artifacts are still in use while an
    # endpoint is updated.
    read_objects(role, storage.artifacts, f"{MODELS_PREFIX}*")
    list_objects(role, storage.artifacts, MODELS_PREFIX)
    read_objects(role, storage.results, f"{UPLOADS_PREFIX}*")
    list_objects(role, storage.results, UPLOADS_PREFIX)
    storage.table.allow(role, "UpdateItem")
    allow(
        role,
        [
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
        ],
        [f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:{_LOG_GROUP}"],
    )
    partition, region, account = (
        spelled(scope, part) for part in (stack.partition, stack.region, stack.account)
    )
    accept_finding(
        role,
        "SageMaker names the log group after the endpoint, which CloudFormation names.",
        f"IAM5[Resource::arn:{partition}:logs:{region}:{account}:{_LOG_GROUP}]",
    )
    return role

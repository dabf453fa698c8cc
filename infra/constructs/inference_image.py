"""The container image of the inference server."""

import re

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.errors import ImageUriError
from infra.lane_options import Architecture
from infra.nag import accept_finding
from infra.paths import INFERENCE_DOCKERFILE, REPOSITORY
from infra.stages import ImageTarget

__all__ = ["InferenceImage", "function_image"]

_ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
    r"/(?P<repository>[^:@]+)[:@].+"
)


class InferenceImage(Construct):
    """Builds `inference/Dockerfile`, or takes an image that exists already.

    Attributes:
        uri: What SageMaker pulls.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, target: ImageTarget, uri: str | None
    ) -> None:
        """Choose the image.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            target: Target of the Dockerfile.
            uri: An image in ECR, with its tag or digest, to use instead of building one.

        Raises:
            ImageUriError: `uri` is no image in ECR.
        """
        super().__init__(scope, construct_id)
        if uri:
            self.uri = uri
            self._repository = _repository(self, uri)
        else:
            asset = self._built(target)
            self.uri = asset.image_uri
            self._repository = asset.repository

    def grant_pull(self, role: iam.Role) -> None:
        """Let SageMaker pull the image with this role."""
        self._repository.grant_pull(role)
        accept_finding(
            role, "ecr:GetAuthorizationToken knows no resource to restrict.", "IAM5[Resource::*]"
        )

    def _built(self, target: ImageTarget) -> ecr_assets.DockerImageAsset:
        return ecr_assets.DockerImageAsset(
            self,
            "Asset",
            directory=str(REPOSITORY),
            file=INFERENCE_DOCKERFILE,
            target=target,
            platform=ecr_assets.Platform.LINUX_AMD64,
            # The build context is what .dockerignore leaves.
            ignore_mode=cdk.IgnoreMode.DOCKER,
        )


def function_image(
    architecture: Architecture, uri: str | None, scope: Construct
) -> lambda_.DockerImageCode:
    """The same image for a Lambda function; its target is always the CPU's.

    Args:
        architecture: The function's processor.
        uri: An image in ECR to use instead of building one; built for that processor.
        scope: Where to look the repository up from.

    Raises:
        ImageUriError: `uri` is no image in ECR.
    """
    if uri:
        repository = _repository(scope, uri)
        tag_or_digest = uri.partition("@")[2] or uri.rpartition(":")[2]
        return lambda_.DockerImageCode.from_ecr(repository, tag_or_digest=tag_or_digest)
    platform = {
        Architecture.X86_64: ecr_assets.Platform.LINUX_AMD64,
        Architecture.ARM64: ecr_assets.Platform.LINUX_ARM64,
    }[architecture]
    return lambda_.DockerImageCode.from_image_asset(
        str(REPOSITORY),
        file=INFERENCE_DOCKERFILE,
        target=ImageTarget.CPU,
        platform=platform,
        ignore_mode=cdk.IgnoreMode.DOCKER,
    )


def _repository(scope: Construct, uri: str) -> ecr.IRepository:
    parts = _ECR_IMAGE.fullmatch(uri)
    if parts is None:
        raise ImageUriError(
            f"imageUri is {uri!r}; give ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG, "
            "since SageMaker pulls from ECR alone."
        )
    stack = cdk.Stack.of(scope)
    arn = f"arn:{stack.partition}:ecr:{parts['region']}:{parts['account']}:repository/"
    return ecr.Repository.from_repository_attributes(
        scope,
        "Repository",
        repository_arn=arn + parts["repository"],
        repository_name=parts["repository"],
    )

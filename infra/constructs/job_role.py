"""What the containers of SageMaker's jobs may do: read their input, write their output."""

from typing import Literal

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.nag import accept_finding, spelled

from .grants import allow
from .inference_image import InferenceImage

__all__ = ["JobRole"]


class JobRole(iam.Role):
    """A role that SageMaker takes to run jobs with the inference image.

    SageMaker itself uses it to pull the image, to move the data, and to write the container's log.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        kind: Literal["Processing", "Training"],
        image: InferenceImage,
    ) -> None:
        """Define the role.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            kind: Of job; the log group has its name.
            image: What runs.
        """
        super().__init__(
            scope,
            construct_id,
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
            description=f"Runs {kind.lower()} jobs of models.",
        )
        image.grant_pull(self)
        stack = cdk.Stack.of(self)
        group = f"log-group:/aws/sagemaker/{kind}Jobs:*"
        allow(
            self,
            [
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ],
            [f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:{group}"],
        )
        partition, region, account = (
            spelled(self, part) for part in (stack.partition, stack.region, stack.account)
        )
        accept_finding(
            self,
            "SageMaker writes every job's log into a stream of this one group, named after the "
            "job.",
            f"IAM5[Resource::arn:{partition}:logs:{region}:{account}:{group}]",
        )

"""What becomes of data when a stack is deleted."""

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.stages import StageConfig

from .grants import allow, delete_objects
from .python_function import PythonFunction

__all__ = ["EmptiedOnDelete", "removal_policy"]


def removal_policy(config: StageConfig) -> cdk.RemovalPolicy:
    """RETAIN where the stage keeps its data, else DESTROY."""
    return cdk.RemovalPolicy.RETAIN if config.keep_data else cdk.RemovalPolicy.DESTROY


class EmptiedOnDelete(Construct):
    """Empties a bucket, older versions too, just before CloudFormation deletes it."""

    def __init__(
        self, scope: Construct, construct_id: str, *, bucket: s3.Bucket, publisher: PythonFunction
    ) -> None:
        """Wait for the deletion of `bucket`.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            bucket: The bucket.
            publisher: The function `publish_files`.
        """
        super().__init__(scope, construct_id)
        allow(publisher, ["s3:ListBucket", "s3:ListBucketVersions"], [bucket.bucket_arn])
        delete_objects(publisher, bucket, "*", versions=True)
        emptied = cdk.CustomResource(
            self,
            "Resource",
            resource_type="Custom::PublishFiles",
            service_token=publisher.function_arn,
            properties={"DestinationBucket": bucket.bucket_name, "PurgeVersions": "true"},
        )
        emptied.node.add_dependency(publisher)

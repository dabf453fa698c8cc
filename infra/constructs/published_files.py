"""Files that a deployment puts into a bucket, by the function `publish_files`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from infra.lambda_bundle import LambdaBundle
from infra.stages import StageConfig
from nvfp4_ddim_contracts.keys import PUBLIC_KEYS_PREFIX

from .grants import allow, delete_objects, list_objects, read_objects, write_objects
from .python_function import PythonFunction

__all__ = ["FilePublisher", "Pointer", "PublishedFiles"]


@dataclass(frozen=True)
class Pointer:
    """An object outside the files' prefix that is written after them."""

    key: str
    body: str


class FilePublisher(PythonFunction):
    """The function behind `Custom::PublishFiles`; each user grants it its own destination."""

    def __init__(
        self, scope: Construct, construct_id: str, *, config: StageConfig, bundle: LambdaBundle
    ) -> None:
        """Define the function."""
        super().__init__(
            scope,
            construct_id,
            config=config,
            bundle=bundle,
            handler="publish_files",
            timeout=cdk.Duration.minutes(15),
        )


class PublishedFiles(Construct):
    """The files of a directory, and a few texts, below one prefix of a bucket."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        publisher: FilePublisher,
        bucket: s3.IBucket,
        source: Path,
        prefix: str = "",
        family: str | None = None,
        cache_control: str | None = None,
        last: str | None = None,
        signing_key: kms.IKey | None = None,
        inline: Mapping[str, str] | None = None,
        pointer: Pointer | None = None,
    ) -> None:
        """Publish.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            publisher: Does the work.
            bucket: Destination.
            source: Directory whose files are published.
            prefix: "" or a prefix that ends with a slash.
            family: What the prefixes of all releases have in common, and the pointer's key too;
                the publisher needs it to remove the release before. The prefix where not given.
            cache_control: Header of the directory's files.
            last: The file that is written after all others.
            signing_key: Signs the file that is written last.
            inline: Names to texts, published beside the files.
            pointer: Written after everything else.
        """
        super().__init__(scope, construct_id)
        asset = s3_assets.Asset(self, "Files", path=str(source), exclude=["**/__pycache__"])
        read_objects(publisher, asset.bucket, asset.s3_object_key)
        owned = prefix if family is None else family
        read_objects(publisher, bucket, f"{owned}*")
        write_objects(publisher, bucket, f"{owned}*")
        delete_objects(publisher, bucket, f"{owned}*")
        list_objects(publisher, bucket, owned)
        if signing_key is not None:
            allow(publisher, ["kms:GetPublicKey", "kms:Sign"], [signing_key.key_arn])
            write_objects(publisher, bucket, f"{PUBLIC_KEYS_PREFIX}*")
        properties: dict[str, Any] = {
            "SourceBucket": asset.s3_bucket_name,
            "SourceKey": asset.s3_object_key,
            "DestinationBucket": bucket.bucket_name,
            "DestinationPrefix": prefix,
            "CacheControl": cache_control,
            "LastKey": last,
            "SigningKeyArn": signing_key.key_arn if signing_key else None,
            "InlineFiles": dict(inline) if inline else None,
            "PointerKey": pointer.key if pointer else None,
            "PointerBody": pointer.body if pointer else None,
        }
        files = cdk.CustomResource(
            self,
            "Resource",
            resource_type="Custom::PublishFiles",
            service_token=publisher.function_arn,
            properties={name: value for name, value in properties.items() if value is not None},
        )
        files.node.add_dependency(publisher)

"""The bucket of dropped models in S3."""

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from lambdas.adapters.s3_batches import S3Batches
from lambdas.domain.errors import ObjectNotFoundError
from lambdas.domain.quantizations.ports import DroppedObject

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

__all__ = ["S3DroppedFiles"]

_NOT_FOUND = "404"
# The strongest first. A checksum of parts ("...-3") says how it was uploaded, too.
_CHECKSUMS = ("ChecksumSHA256", "ChecksumCRC64NVME", "ChecksumCRC32C", "ChecksumCRC32")


class S3DroppedFiles(S3Batches):
    """Implements `DroppedFiles`."""

    def list(self, prefix: str) -> Iterator[DroppedObject]:
        """Every object below a prefix."""
        pages = self.client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield DroppedObject(entry["Key"], entry["Size"], entry["LastModified"])

    def tag(self, key: str) -> str:
        """A checksum of an object where S3 has one, or its ETag.

        Raises:
            ObjectNotFoundError: There is none.
        """
        try:
            head = self.client.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["Error"]["Code"] == _NOT_FOUND:
                raise ObjectNotFoundError(key) from error
            raise
        return _tag(head)

    def open(self, key: str) -> IO[bytes]:
        """A stream of an object's bytes.

        Raises:
            ObjectNotFoundError: There is none.
        """
        try:
            body = self.client.get_object(Bucket=self.bucket, Key=key)["Body"]
        except self.client.exceptions.NoSuchKey as error:
            raise ObjectNotFoundError(key) from error
        return cast("IO[bytes]", body)


def _tag(head: "HeadObjectOutputTypeDef") -> str:
    for name in _CHECKSUMS:
        if value := head.get(name):
            return f"{name} {value}"
    return f"ETag {head['ETag']}"

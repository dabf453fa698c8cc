"""The bucket of batches in S3."""

from collections.abc import Iterator

from botocore.exceptions import ClientError

from lambdas.adapters.s3_objects import S3Objects
from lambdas.domain.batches.folder import FolderFile
from lambdas.domain.errors import ObjectNotFoundError

__all__ = ["S3Batches"]

_NOT_FOUND = "404"


class S3Batches(S3Objects):
    """Implements `BatchFiles`."""

    def list_below(self, prefix: str) -> Iterator[FolderFile]:
        """All objects below a prefix, by what follows it."""
        pages = self.client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                path = entry["Key"].removeprefix(prefix)
                yield FolderFile(path, entry["Size"], entry["ETag"].strip('"'))

    def size(self, key: str) -> int:
        """Bytes of an object.

        Raises:
            ObjectNotFoundError: There is none.
        """
        try:
            return self.client.head_object(Bucket=self.bucket, Key=key)["ContentLength"]
        except ClientError as error:
            if error.response["Error"]["Code"] == _NOT_FOUND:
                raise ObjectNotFoundError(key) from error
            raise

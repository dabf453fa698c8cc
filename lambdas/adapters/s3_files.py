"""A bucket that files are published to."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["S3Files"]

# One part in memory at a time, on this thread: a zip member can't be read from several.
_TRANSFER = TransferConfig(
    multipart_threshold=16 * 1024 * 1024,
    multipart_chunksize=16 * 1024 * 1024,
    use_threads=False,
)
_MAX_KEYS_PER_DELETE = 1_000


@dataclass(frozen=True)
class S3Files:
    """Implements `FileStore`."""

    client: "S3Client"
    bucket: str

    def upload(self, key: str, stream: IO[bytes], content_type: str, cache_control: str) -> None:
        """Write an object from a stream, with bounded memory."""
        self.client.upload_fileobj(
            stream,
            self.bucket,
            key,
            ExtraArgs={"ContentType": content_type, "CacheControl": cache_control},
            Config=_TRANSFER,
        )

    def read(self, key: str) -> bytes | None:
        """A small object's bytes, or None where there is none."""
        errors = self.client.exceptions
        try:
            return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except (errors.NoSuchKey, errors.NoSuchBucket):
            return None

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def delete_below(self, prefix: str, *, keep: frozenset[str], purge_versions: bool) -> None:
        """Remove all objects below a prefix but `keep`; a bucket that is gone is no error."""
        found = self._versions(prefix) if purge_versions else self._objects(prefix)
        doomed = (entry for entry in found if entry["Key"] not in keep)
        try:
            while batch := list(islice(doomed, _MAX_KEYS_PER_DELETE)):
                answer = self.client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True}
                )
                for error in answer.get("Errors", []):
                    raise OSError(f"{error.get('Key')} was not deleted: {error.get('Code')}")
        except self.client.exceptions.NoSuchBucket:
            return

    def _objects(self, prefix: str) -> Iterator[Any]:
        pages = self.client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield {"Key": entry["Key"]}

    def _versions(self, prefix: str) -> Iterator[Any]:
        pages = self.client.get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            for entry in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                yield {"Key": entry["Key"], "VersionId": entry["VersionId"]}

"""The artifact bucket as the store of the registry."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from .errors import PointerChangedError
from .registry import StoredObject

__all__ = ["S3RegistryStore"]

_CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})


@dataclass(frozen=True)
class S3RegistryStore:
    """Implements `RegistryStore` by conditional writes."""

    client: Any
    bucket: str

    def sizes(self, prefix: str) -> dict[str, int]:
        """Bytes of every object below a prefix, by key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", [])}

    def read(self, key: str) -> StoredObject | None:
        """A small object, or None where there is none."""
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
        except self.client.exceptions.NoSuchKey:
            return None
        return StoredObject(answer["Body"].read(), answer["ETag"])

    def replace(self, key: str, body: bytes, expected: StoredObject | None) -> None:
        """Write an object if it still is `expected` (None: if there is none)."""
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected.tag}
        try:
            self.client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=body,
                ContentType="application/json",
                CacheControl="no-cache",
                **condition,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _CHANGED:
                raise
            raise PointerChangedError(
                f"{key} was changed by somebody else meanwhile. Look at `models list`, and try "
                "again if it still is what you want."
            ) from error

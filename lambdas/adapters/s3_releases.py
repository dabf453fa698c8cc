"""The artifact bucket, as far as releases are published to it."""

from lambdas.adapters.s3_files import S3Files

__all__ = ["S3Releases"]


class S3Releases(S3Files):
    """Implements `ReleaseStore`."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """Bytes of every object below a prefix, by key."""
        pages = self.client.get_paginator("list_objects_v2")
        return {
            entry["Key"]: entry["Size"]
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix)
            for entry in page.get("Contents", [])
        }

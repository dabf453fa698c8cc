"""The results bucket in S3."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lambdas.domain.errors import ObjectNotFoundError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["S3Objects"]


@dataclass(frozen=True)
class S3Objects:
    """Implements `ObjectStore` on one bucket."""

    client: "S3Client"
    bucket: str

    def put(
        self, key: str, body: bytes, content_type: str, *, download_as: str | None = None
    ) -> None:
        """Write an object; with `download_as`, one that browsers keep under that name."""
        told = {"ContentDisposition": f'attachment; filename="{download_as}"'}
        self.client.put_object(
            Bucket=self.bucket,
            Key=key,
            Body=body,
            ContentType=content_type,
            **(told if download_as else {}),  # type: ignore[arg-type]
        )

    def get(self, key: str) -> bytes:
        """Read an object.

        Raises:
            ObjectNotFoundError: There is none.
        """
        try:
            return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except self.client.exceptions.NoSuchKey as error:
            raise ObjectNotFoundError(key) from error

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def uri(self, key: str) -> str:
        """The object's `s3://` URI."""
        return f"s3://{self.bucket}/{key}"

    def key_of(self, uri: str) -> str:
        """The key in an `s3://` URI of this bucket.

        Raises:
            ObjectNotFoundError: The URI points elsewhere.
        """
        prefix = self.uri("")
        if not uri.startswith(prefix):
            raise ObjectNotFoundError(uri)
        return uri.removeprefix(prefix)

"""Files that callers put into the results bucket by signed forms."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lambdas.domain.records import StoredUpload, UploadForm

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["S3Uploads"]


@dataclass(frozen=True)
class S3Uploads:
    """Implements `UploadStore` on one bucket."""

    client: "S3Client"
    bucket: str

    def form(self, key: str, *, content_type: str, size_bytes: int, seconds: int) -> UploadForm:
        """A form that S3 accepts for `seconds`, for this key, type and size only.

        Source: Amazon S3 API reference, "Creating a POST policy".
        """
        answer = self.client.generate_presigned_post(
            self.bucket,
            key,
            Fields={"Content-Type": content_type},
            Conditions=[
                ["eq", "$Content-Type", content_type],
                ["content-length-range", size_bytes, size_bytes],
            ],
            ExpiresIn=seconds,
        )
        return UploadForm(answer["url"], dict(answer["fields"]))

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Write a file that came inside a request."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)

    def find(self, key: str) -> StoredUpload | None:
        """What lies there, or None."""
        try:
            head = self.client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            # An answer to HEAD has no body, so that botocore knows the status and no more.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        return StoredUpload(key, head["ContentType"], head["ContentLength"])

"""Callers' uploads in S3."""

import logging
from typing import TYPE_CHECKING

from .errors import InputsUnavailableError, InputTooLargeError, StartError
from .ports import StoredInput
from .queueing import RETRY_SOON_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["S3Inputs"]

_MISSING = frozenset({"404", "NoSuchKey"})

logger = logging.getLogger(__name__)


class S3Inputs:
    """Implements `InputStore` on one bucket. Safe across threads."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        """Read from `bucket` through a client, which is safe across threads."""
        self._client = client
        self._bucket = bucket

    @classmethod
    def connect(cls, bucket: str) -> "S3Inputs":
        """Make a client from the process's AWS configuration.

        Raises:
            StartError: boto3 is not installed, or no region is configured.
        """
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ImportError as error:
            raise StartError(
                "UPLOAD_BUCKET is set, but boto3 is not installed: "
                "pip install 'nvfp4-ddim-optimizer[server,aws]', or unset UPLOAD_BUCKET."
            ) from error
        config = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 4})
        try:
            return cls(boto3.client("s3", config=config), bucket)
        except BotoCoreError as error:
            raise StartError(f"UPLOAD_BUCKET is set, but AWS is not usable: {error}") from error

    def read(self, key: str, limit_bytes: int) -> StoredInput | None:
        """A file, or None where there is none; one that is too large is not read."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            found = self._client.get_object(Bucket=self._bucket, Key=key)
            with found["Body"] as body:
                if found["ContentLength"] > limit_bytes:
                    raise InputTooLargeError(
                        f"An upload has {found['ContentLength']} bytes; {limit_bytes} are taken."
                    )
                return StoredInput(body.read(), found.get("ContentType", ""))
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _MISSING:
                return None
            raise _trouble(error) from error
        except BotoCoreError as error:
            raise _trouble(error) from error


def _trouble(error: Exception) -> InputsUnavailableError:
    logger.warning("upload not readable", extra={"fields": {"error": str(error)}})
    return InputsUnavailableError(
        "Uploads can't be read now.", retry_after_seconds=RETRY_SOON_SECONDS
    )

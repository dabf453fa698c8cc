"""The model registry in S3: pointers `models/<name>/live.json` and the artifacts they name."""

import logging
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from nvfp4_ddim_contracts.keys import live_pointer_key
from nvfp4_ddim_contracts.models import LiveModel

from .errors import RegistryError, StartError, UnusableModelError
from .queueing import RETRY_SOON_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["S3ModelRegistry"]

_FRESH_SECONDS = 60.0
_MAX_POINTER_BYTES = 65_536
_PIECE_BYTES = 2**20
_MISSING = frozenset({"404", "NoSuchKey"})

logger = logging.getLogger(__name__)


class S3ModelRegistry:
    """Implements `ModelRegistry` on one bucket. Safe across threads."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        """Read `models/` of `bucket` through a client, which is safe across threads."""
        self._client = client
        self._bucket = bucket
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, LiveModel]] = {}

    @classmethod
    def connect(cls, bucket: str) -> "S3ModelRegistry":
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
                "ARTIFACT_BUCKET is set, but boto3 is not installed: "
                "pip install 'nvfp4-ddim-optimizer[server,aws]', or unset ARTIFACT_BUCKET."
            ) from error
        config = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 4})
        try:
            return cls(boto3.client("s3", config=config), bucket)
        except BotoCoreError as error:
            raise StartError(f"ARTIFACT_BUCKET is set, but AWS is not usable: {error}") from error

    def live(self, name: str) -> LiveModel | None:
        """The artifact being served under a name, or None; remembered for a minute."""
        now = time.monotonic()
        with self._lock:
            found = self._found.get(name)
        if found is not None and now - found[0] < _FRESH_SECONDS:
            return found[1]
        body = self._get(live_pointer_key(name), 0)
        if body is None:
            return None
        try:
            model = LiveModel.model_validate_json(_read_all(body, _MAX_POINTER_BYTES))
        except ValidationError as error:
            raise UnusableModelError(f"The pointer of the model {name!r} is damaged.") from error
        with self._lock:
            self._found[name] = (now, model)
        return model

    def read(self, key: str, limit_bytes: int) -> bytes:
        """A small object.

        Raises:
            UnusableModelError: It is missing, or larger.
            RegistryError: S3 does not answer.
        """
        return _read_all(self._existing(key, 0), limit_bytes)

    def stream(self, key: str, offset: int) -> Iterator[bytes]:
        """An object's bytes from `offset` on, in pieces.

        Raises:
            UnusableModelError: It is missing.
            RegistryError: S3 does not answer, or stops in the middle.
        """
        from botocore.exceptions import BotoCoreError

        try:
            yield from self._existing(key, offset).iter_chunks(_PIECE_BYTES)
        except BotoCoreError as error:
            raise _trouble(error) from error

    def _existing(self, key: str, offset: int) -> Any:
        body = self._get(key, offset)
        if body is None:
            raise UnusableModelError(f"{key} is missing in the model registry.")
        return body

    def _get(self, key: str, offset: int) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        asked: dict[str, str] = {"Range": f"bytes={offset}-"} if offset else {}
        try:
            return self._client.get_object(Bucket=self._bucket, Key=key, **asked)["Body"]  # type: ignore[arg-type]
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code in _MISSING:
                return None
            # The object became shorter than the part that is here already: it is another one.
            if code == "InvalidRange":
                raise UnusableModelError(f"{key} changed in the model registry.") from error
            raise _trouble(error) from error
        except BotoCoreError as error:
            raise _trouble(error) from error


def _read_all(body: Any, limit_bytes: int) -> bytes:
    from botocore.exceptions import BotoCoreError

    try:
        data: bytes = body.read(limit_bytes + 1)
    except BotoCoreError as error:
        raise _trouble(error) from error
    if len(data) > limit_bytes:
        raise UnusableModelError("A description in the model registry is larger than it may be.")
    return data


def _trouble(error: Exception) -> RegistryError:
    logger.warning("model registry not readable", extra={"fields": {"error": str(error)}})
    return RegistryError(
        "The model registry can't be read now.", retry_after_seconds=RETRY_SOON_SECONDS
    )

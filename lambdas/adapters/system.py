"""Time and randomness of the machine."""

import secrets
import time
import uuid
from datetime import UTC, datetime

from nvfp4_ddim_contracts.generation import MAX_SEED

__all__ = ["RandomIds", "SystemClock"]


class SystemClock:
    """Implements `Clock`."""

    def now(self) -> datetime:
        """The UTC time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class RandomIds:
    """Implements `IdFactory`."""

    def job_id(self) -> str:
        """122 random bits as 32 hexadecimal digits."""
        return uuid.uuid4().hex

    def upload_id(self) -> str:
        """122 random bits as 32 hexadecimal digits."""
        return uuid.uuid4().hex

    def seed(self) -> int:
        """A seed from 0 to 2^32 - 1."""
        return secrets.randbelow(MAX_SEED + 1)

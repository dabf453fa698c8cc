"""Trying again: exponential back-off with full jitter.

Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .errors import CdnError

__all__ = ["RetryPolicy", "TransientError"]

T = TypeVar("T")


class TransientError(CdnError):
    """Another attempt may succeed.

    Attributes:
        not_before_seconds: How long the server asks to be left alone, if it does.
    """

    def __init__(self, message: str, not_before_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.not_before_seconds = not_before_seconds


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and after what waits.

    Attributes:
        attempts: In a row without progress.
        base_seconds: Bound of the first wait; each further one doubles it.
        cap_seconds: Bound of all waits, the server's wishes too.
        sleep: Waits.
        uniform: A random number between two.
    """

    attempts: int = 7
    base_seconds: float = 0.5
    cap_seconds: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform

    def delay(self, failures: int, error: TransientError) -> float:
        """Seconds to wait after so many failures in a row.

        Raises:
            CdnError: It was the last attempt.
        """
        if failures >= self.attempts:
            raise CdnError(
                f"{error}. Gave up after {failures} attempts. Look at the network and run the "
                "same command again: what is there already is kept"
            ) from error
        bound = min(self.cap_seconds, self.base_seconds * 2 ** (failures - 1))
        asked = min(self.cap_seconds, error.not_before_seconds)
        return max(asked, self.uniform(0.0, bound))

    def call(self, attempt: Callable[[], T]) -> T:
        """The first attempt that succeeds.

        Raises:
            CdnError: None did.
        """
        failures = 0
        while True:
            try:
                return attempt()
            except TransientError as error:
                failures += 1
                self.sleep(self.delay(failures, error))

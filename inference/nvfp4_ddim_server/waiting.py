"""Where requests wait for what is not computed: models and files."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from .errors import QueueFullError, RequestTimedOutError
from .queueing import RETRY_SOON_SECONDS

__all__ = ["WaitingRoom"]

_T = TypeVar("_T")


class WaitingRoom:
    """Lets no more requests wait than may wait, and none longer than a request may take."""

    def __init__(self, places: int, timeout_seconds: float) -> None:
        """Make an empty one.

        Args:
            places: Requests that may wait at once, beside one.
            timeout_seconds: The longest that one may wait.
        """
        self._places = places
        self._timeout_seconds = timeout_seconds
        self._taken = 0

    async def wait(self, coming: Awaitable[_T]) -> _T:
        """Wait for a model or for files.

        Raises:
            QueueFullError: As many wait as may wait.
            RequestTimedOutError: It took too long.
        """
        if self._taken > self._places:
            if asyncio.iscoroutine(coming):
                coming.close()
            raise QueueFullError(
                f"{self._taken} requests wait for their models already.",
                retry_after_seconds=RETRY_SOON_SECONDS,
            )
        self._taken += 1
        timeout = self._timeout_seconds
        try:
            return await asyncio.wait_for(coming, timeout)
        except TimeoutError:
            raise RequestTimedOutError(
                f"The model was not there after {timeout:g} seconds; it is still being fetched."
            ) from None
        finally:
            self._taken -= 1

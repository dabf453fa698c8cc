"""How far a job is, as log lines that are worth reading."""

import logging
import time

__all__ = ["LoggedProgress"]

_EVERY_SECONDS = 30.0

logger = logging.getLogger(__name__)


class LoggedProgress:
    """Implements the library's `Progress`: a line when work begins, then one twice a minute."""

    def __init__(self) -> None:
        self._what, self._total, self._done = "", 0, 0
        self._told = 0.0

    def begin(self, what: str, total: int | None) -> None:
        """Work of a new kind begins."""
        self._what, self._total, self._done = what, total or 0, 0
        self._told = time.monotonic()
        logger.info("step", extra={"fields": {"step": what, "total": total}})

    def advance(self, done: int) -> None:
        """So many more are done."""
        self._done += done
        now = time.monotonic()
        if self._total and now - self._told >= _EVERY_SECONDS:
            self._told = now
            percent = round(100 * self._done / self._total, 1)
            logger.info("progress", extra={"fields": {"step": self._what, "percent": percent}})

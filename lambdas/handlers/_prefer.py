"""`Prefer: wait=N`, RFC 7240."""

import re

from lambdas.domain.jobs import MAX_WAIT_SECONDS

__all__ = ["preferred_wait", "wait_budget"]

_WAIT = re.compile(r"\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?:;.*)?", re.IGNORECASE)
# For writing the answer, and for a read of the table that takes long.
_RESERVE_SECONDS = 2.0


def preferred_wait(header: str | None) -> int | None:
    """The seconds a caller prefers to wait, capped at what we can do.

    Args:
        header: The header's value, or None.

    Returns:
        Whole seconds, or None if it asks for no wait. What can't be read is ignored, as the RFC
        wants; the first `wait` counts.
    """
    for preference in (header or "").split(","):
        if match := _WAIT.fullmatch(preference):
            return min(int(match.group(1)), int(MAX_WAIT_SECONDS))
    return None


def wait_budget(wanted_seconds: float, seconds_left: float) -> float:
    """How long to wait, given how long the function may still run."""
    return max(0.0, min(wanted_seconds, seconds_left - _RESERVE_SECONDS))

"""How many streams of events one caller holds open at a time.

Each open stream has one of the caller's slots, until it ends or its function would have been ended:
who crashed, or whose connection went, counts for no longer than that.
"""

import math
from dataclasses import dataclass

from .errors import TooManyStreamsError
from .ports import Clock, StreamSlots

__all__ = ["StreamLease", "StreamLimiter"]

_SPARE_SECONDS = 5.0
_MILLISECONDS = 1_000


@dataclass(frozen=True)
class StreamLease:
    """A slot that is taken until `until_ms`, Unix milliseconds."""

    owner: str
    slot: int
    until_ms: int


@dataclass(frozen=True)
class StreamLimiter:
    """Lets a caller's streams in, up to a number."""

    slots: StreamSlots
    clock: Clock
    most: int

    def enter(self, owner: str, seconds: float) -> StreamLease:
        """Take a slot.

        Args:
            owner: The caller.
            seconds: How long the stream may last.

        Raises:
            TooManyStreamsError: All are taken; it says when to try again at the latest.
        """
        # Each round that finds a slot and does not get it was won by another stream.
        for _ in range(self.most):
            now = self._now_ms()
            taken = self.slots.taken(owner)
            ends = [taken.get(slot, 0) for slot in range(self.most)]
            free = [slot for slot, end in enumerate(ends) if end <= now]
            if not free:
                raise TooManyStreamsError(
                    self.most, max(1, math.ceil((min(ends) - now) / _MILLISECONDS))
                )
            until = now + math.ceil((seconds + _SPARE_SECONDS) * _MILLISECONDS)
            lease = StreamLease(owner, free[now % len(free)], until)
            if self.slots.take(owner, lease.slot, now_ms=now, until_ms=until):
                return lease
        raise TooManyStreamsError(self.most, 1)

    def leave(self, lease: StreamLease) -> None:
        """Give a slot back; one that has run out and is another's by now stays that one's."""
        self.slots.free(lease.owner, lease.slot, lease.until_ms)

    def _now_ms(self) -> int:
        return int(self.clock.now().timestamp() * _MILLISECONDS)

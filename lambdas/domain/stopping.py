"""Stopping the service before it spends more, and starting it again.

While it is stopped, no new job is accepted, no job that was accepted before is begun, and no
machine runs that may go; everything that exists can still be read. Both directions may be repeated,
and a repetition changes nothing.
"""

from dataclasses import dataclass

from .errors import ServiceStoppedError
from .ports import Capacity, Clock, StopFlag
from .records import ServiceStop

__all__ = ["BUDGET_SPENT", "ServiceGate", "ServiceSwitch"]

BUDGET_SPENT = "The month's budget is used up."
_LOOK_AGAIN_AFTER_SECONDS = 10.0


@dataclass(frozen=True)
class ServiceSwitch:
    """Stops and resumes a stage."""

    flag: StopFlag
    capacity: Capacity
    clock: Clock

    def stop(self, reason: str) -> ServiceStop:
        """Refuse new jobs and begin no other, then take the machines away.

        Args:
            reason: A sentence that callers will read.

        Returns:
            The stop in force: an earlier one, if the service was stopped already.
        """
        stop = self.flag.set(ServiceStop(reason=reason, stopped_at=self.clock.now()))
        self.capacity.withdraw()
        return stop

    def resume(self) -> ServiceStop | None:
        """Allow the machines again, then accept jobs.

        Returns:
            The stop that ended, or None if there was none.
        """
        stop = self.flag.read()
        self.capacity.restore()
        self.flag.clear()
        return stop


class ServiceGate:
    """Lets work in while the service is not stopped.

    It looks at the flag every ten seconds at most, so that a stop costs a request nothing.
    """

    def __init__(self, flag: StopFlag, clock: Clock) -> None:
        """Look at the flag at the first request."""
        self._flag = flag
        self._clock = clock
        self._stop: ServiceStop | None = None
        self._fresh_until = float("-inf")

    def require_open(self) -> None:
        """Refuse new work if the service is stopped.

        Raises:
            ServiceStoppedError: It is.
        """
        if (stop := self._look()) is not None:
            raise ServiceStoppedError(stop.reason)

    def is_open(self) -> bool:
        """Whether work may begin."""
        return self._look() is None

    def _look(self) -> ServiceStop | None:
        now = self._clock.monotonic()
        if now >= self._fresh_until:
            self._stop = self._flag.read()
            self._fresh_until = now + _LOOK_AGAIN_AFTER_SECONDS
        return self._stop

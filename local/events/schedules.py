"""EventBridge rules on a schedule."""

import logging
import re
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.events.models import events_backends

from local.errors import UnsupportedResourceError
from local.settings import ACCOUNT_ID, REGION

__all__ = ["Scheduler", "interval_seconds"]

_LOGGER = logging.getLogger(__name__)
_TICK_SECONDS = 0.5
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}


def interval_seconds(expression: str) -> int:
    """Seconds of a `rate(...)` expression.

    Raises:
        UnsupportedResourceError: It is a cron expression, or none at all.
    """
    match = _RATE.fullmatch(expression)
    if match is None or match.group(1) == "0":
        raise UnsupportedResourceError(
            f"The local cloud runs rate(...) schedules, not {expression!r}."
        )
    return int(match.group(1)) * _SECONDS[match.group(2)]


class Scheduler:
    """Sends an event to the targets of every enabled schedule rule when it is due.

    A rule is first due one interval after it was seen, as on AWS.
    """

    def __init__(self, deliver: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
        """Begin to keep time.

        Args:
            deliver: Given a target and an event, delivers it in the background.
        """
        self._deliver = deliver
        self._due: dict[str, float] = {}
        self._stopping = threading.Event()
        threading.Thread(target=self._run, daemon=True, name="scheduler").start()

    def stop(self) -> None:
        """Stop sending."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(_TICK_SECONDS):
            self.tick(time.monotonic())

    def tick(self, now: float) -> None:
        """Send what is due at `now` (monotonic seconds)."""
        for bus in list(events_backends[ACCOUNT_ID][REGION].event_buses.values()):
            for rule in list(bus.rules.values()):
                if not rule.scheduled_expression or rule.state != "ENABLED":
                    self._due.pop(rule.arn, None)
                    continue
                try:
                    self._run_rule(rule, now)
                except Exception:
                    _LOGGER.exception("Rule %s could not run", rule.name)

    def _run_rule(self, rule: Any, now: float) -> None:
        interval = interval_seconds(rule.scheduled_expression)
        due = self._due.setdefault(rule.arn, now + interval)
        if now < due:
            return
        self._due[rule.arn] = now + interval
        for target in rule.targets:
            self._deliver(target, _event(rule.arn))


def _event(rule_arn: str) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT_ID,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [rule_arn],
        "detail": {},
    }

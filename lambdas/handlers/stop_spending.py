"""SNS, when the month's budget is used up: stop the service.

What the message says does not matter: its topic has no other purpose, and AWS Budgets writes a
text for people.
"""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas import wiring
from lambdas.domain.stopping import BUDGET_SPENT, ServiceSwitch
from lambdas.observability import count, logger, observed
from lambdas.settings import StopSpendingSettings

__all__ = ["handler"]


@cache
def _switch() -> ServiceSwitch:
    return wiring.service_switch(StopSpendingSettings.from_environment(os.environ))


def _entry(_event: dict[str, Any], _context: LambdaContext) -> dict[str, str]:
    """Stop the service and say why it is stopped."""
    stop = _switch().stop(BUDGET_SPENT)
    logger().warning("Stopped", reason=stop.reason, stopped_at=stop.stopped_at.isoformat())
    count("ServiceStopped")
    return {"reason": stop.reason}


handler = observed(_entry)

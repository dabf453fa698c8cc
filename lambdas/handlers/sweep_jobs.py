"""A schedule: expire jobs that nothing will end any more."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas import wiring
from lambdas.domain.sweeping import JobSweeper
from lambdas.observability import count, logger, observed
from lambdas.settings import SweepJobsSettings

__all__ = ["handler"]


@cache
def _sweeper() -> JobSweeper:
    return wiring.sweeper(SweepJobsSettings.from_environment(os.environ))


def _entry(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    """Expire overdue jobs and say how many."""
    expired = _sweeper().sweep()
    logger().info("Swept", expired=expired)
    count("JobsExpired", expired)
    return {"expired": expired}


handler = observed(_entry)

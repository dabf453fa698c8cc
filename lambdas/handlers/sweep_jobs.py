"""A schedule: expire jobs that nothing will end any more, release those that a stop held."""

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
    """Expire overdue jobs, let held ones go on, and say how many."""
    sweeper = _sweeper()
    expired, released = sweeper.sweep(), sweeper.release()
    logger().info("Swept", expired=expired, released=released)
    count("JobsExpired", expired)
    return {"expired": expired, "released": released}


handler = observed(_entry)

"""Last step of a batch: write index, page and summary."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas import batch_wiring as wiring
from lambdas.domain.batches.finishing import BatchFinisher
from lambdas.domain.batches.records import FinishedRun
from lambdas.observability import logger, observed
from lambdas.settings import FinishBatchSettings

__all__ = ["handler"]


@cache
def _finisher() -> BatchFinisher:
    return wiring.batch_finisher(FinishBatchSettings.from_environment(os.environ))


def _entry(event: dict[str, Any], _context: LambdaContext) -> dict[str, bool]:
    """Write down how a run ended and say whether that is tolerated."""
    run = FinishedRun.model_validate(event)
    tolerated = _finisher().finish(run, run.map_manifest_key)
    logger().info("Finished", batch=run.batch, run=run.run, tolerated=tolerated)
    return {"tolerated": tolerated}


handler = observed(_entry)

"""First step of a batch: read the manifest that was dropped."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ConfigDict

from lambdas import batch_wiring as wiring
from lambdas.domain.batches.preparing import BatchPreparer
from lambdas.observability import count, logger, observed
from lambdas.settings import PrepareBatchSettings

__all__ = ["handler"]


class _Input(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    run: str


@cache
def _preparer() -> BatchPreparer:
    return wiring.batch_preparer(PrepareBatchSettings.from_environment(os.environ))


def _entry(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Read a manifest and say what the next steps need to know."""
    wanted = _Input.model_validate(event)
    run = _preparer().prepare(wanted.key, wanted.run)
    logger().info("Prepared", batch=run.batch, run=run.run, rows=run.rows, invalid=run.invalid)
    count("BatchRows", run.rows)
    count("BatchRowsInvalid", run.invalid)
    return run.model_dump(mode="json")


handler = observed(_entry)

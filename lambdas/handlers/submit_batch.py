"""Middle step of a batch: some rows become jobs; the token comes back when they have ended."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas import batch_wiring as wiring
from lambdas.domain.batches.records import TaskInput
from lambdas.domain.batches.submitting import BatchSubmitter
from lambdas.observability import count, logger, observed
from lambdas.settings import SubmitBatchSettings

__all__ = ["handler"]


@cache
def _submitter() -> BatchSubmitter:
    return wiring.batch_submitter(SubmitBatchSettings.from_environment(os.environ))


def _entry(event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    """Make a task's jobs and say how many it waits for."""
    task = TaskInput.model_validate(event)
    made = _submitter().submit(task)
    logger().info(
        "Submitted",
        batch=task.batch,
        rows=len(task.items),
        new_jobs=made.created,
        pending=made.pending,
    )
    count("JobsCreated", made.created)
    return {"pending": made.pending}


handler = observed(_entry)

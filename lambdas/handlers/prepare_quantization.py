"""First step of a quantisation: look at the model that was dropped."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ConfigDict

from lambdas import quantization_wiring as wiring
from lambdas.domain.quantizations.preparing import ModelPreparer
from lambdas.observability import logger, observed
from lambdas.settings import PrepareQuantizationSettings

__all__ = ["handler"]


class _Input(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    execution: str


@cache
def _preparer() -> ModelPreparer:
    return wiring.model_preparer(PrepareQuantizationSettings.from_environment(os.environ))


def _entry(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Say whether the model is ready, and what the job needs to know."""
    wanted = _Input.model_validate(event)
    prepared = _preparer().prepare(wanted.key, wanted.execution)
    logger().info(
        "Prepared",
        model=prepared.name,
        readiness=prepared.readiness,
        problem=prepared.problem.code if prepared.problem else None,
    )
    return prepared.model_dump(mode="json")


handler = observed(_entry)

"""Last step of a quantisation, however it went: write the report."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas import quantization_wiring as wiring
from lambdas.domain.quantizations.records import ExecutionEnd
from lambdas.domain.quantizations.reporting import QuantizationReporter
from lambdas.observability import logger, observed
from lambdas.settings import ReportQuantizationSettings

__all__ = ["handler"]


@cache
def _reporter() -> QuantizationReporter:
    return wiring.quantization_reporter(ReportQuantizationSettings.from_environment(os.environ))


def _entry(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Write the report, and say how the execution has to end."""
    end = _reporter().report(ExecutionEnd.model_validate(event))
    logger().info("Reported", state=end.state, reason=end.reason)
    return end.model_dump(mode="json")


handler = observed(_entry)

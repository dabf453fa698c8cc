"""Structured logs and metrics, by AWS Lambda Powertools.

Logs carry the request's correlation id, or the job's id, and never a prompt, a key or a link; one
line ties the two together where a job is made. Metrics go to the stage's namespace. Traces come
from the functions' active X-Ray tracing, which needs no code; the X-Ray SDK is left out, since it
would cost every cold start more than it tells.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, Literal

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

__all__ = ["LambdaHandler", "count", "logger", "measure", "observed"]

LambdaHandler = Callable[[Any, LambdaContext], Any]


@cache
def logger() -> Logger:
    """The process's logger; its service and level come from Powertools' environment variables."""
    return Logger()


@cache
def _metrics() -> Metrics:
    return Metrics()


def count(name: str, value: int = 1) -> None:
    """Count something in CloudWatch, such as `JobsSucceeded`."""
    _metrics().add_metric(name=name, unit=MetricUnit.Count, value=value)


def measure(name: str, value: float, unit: Literal["Seconds", "None"]) -> None:
    """Measure something in CloudWatch, such as `JobQueueSeconds`."""
    _metrics().add_metric(name=name, unit=MetricUnit(unit), value=value)


@cache
def _count_cold_start() -> None:
    count("ColdStarts")


def observed(entry: LambdaHandler, correlation_id_path: str | None = None) -> LambdaHandler:
    """Wrap a Lambda's entry point with the logger's context and the flushing of metrics.

    Args:
        entry: The function to wrap.
        correlation_id_path: Where the event holds the id that its log lines carry.

    Returns:
        The handler. Powertools reads its environment at the first call, not at import.
    """

    def counted(event: Any, context: LambdaContext) -> Any:
        _count_cold_start()
        try:
            return entry(event, context)
        finally:
            # Powertools' own decorator warns of every invocation that counts nothing.
            if _metrics().metric_set:
                _metrics().flush_metrics()

    @cache
    def instrumented() -> LambdaHandler:
        return logger().inject_lambda_context(
            counted, correlation_id_path=correlation_id_path, clear_state=True
        )

    @wraps(entry)
    def handler(event: Any, context: LambdaContext) -> Any:
        return instrumented()(event, context)

    return handler

"""Structured logs and metrics, by AWS Lambda Powertools.

Logs carry the request's correlation id and never a prompt, a key or a link. Traces come from the
functions' active X-Ray tracing, which needs no code; the X-Ray SDK is left out, since it would
cost every cold start more than it tells.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

__all__ = ["METRICS_NAMESPACE", "LambdaHandler", "count", "logger", "observed"]

METRICS_NAMESPACE = "Nvfp4Ddim"

LambdaHandler = Callable[[Any, LambdaContext], Any]


@cache
def logger() -> Logger:
    """The process's logger; its service and level come from Powertools' environment variables."""
    return Logger()


@cache
def _metrics() -> Metrics:
    return Metrics(namespace=METRICS_NAMESPACE)


def count(name: str, value: int = 1) -> None:
    """Count something in CloudWatch, such as `JobsSucceeded`."""
    _metrics().add_metric(name=name, unit=MetricUnit.Count, value=value)


def observed(entry: LambdaHandler, correlation_id_path: str | None = None) -> LambdaHandler:
    """Wrap a Lambda's entry point with the logger's context and the flushing of metrics.

    Args:
        entry: The function to wrap.
        correlation_id_path: Where the event holds the id that its log lines carry.

    Returns:
        The handler. Powertools reads its environment at the first call, not at import.
    """

    def counted(event: Any, context: LambdaContext) -> Any:
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

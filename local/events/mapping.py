"""An event source mapping, as the pollers need it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Invoke", "Mapping", "failed_identifiers"]

# Given a function's ARN and an event, its payload and whether that is an error.
Invoke = Callable[[str, dict[str, Any]], tuple[Any, bool]]


@dataclass(frozen=True)
class Mapping:
    """`None` in a limit means without limit, as Lambda's -1 does."""

    mapping_id: str
    function_arn: str
    source_arn: str
    batch_size: int
    reports_item_failures: bool
    filter_criteria: dict[str, Any] | None
    starting_position: str
    max_retries: int | None
    max_age_seconds: float | None
    bisects: bool
    failure_destination: str | None
    lanes: int

    @classmethod
    def from_configuration(cls, configuration: dict[str, Any]) -> "Mapping":
        """Read what `GetEventSourceMapping` answers."""
        destination = configuration.get("DestinationConfig", {}).get("OnFailure", {})
        concurrency = configuration.get("ScalingConfig", {}).get("MaximumConcurrency")
        return cls(
            mapping_id=configuration["UUID"],
            function_arn=configuration["FunctionArn"],
            source_arn=configuration["EventSourceArn"],
            batch_size=int(configuration["BatchSize"]),
            reports_item_failures="ReportBatchItemFailures"
            in configuration.get("FunctionResponseTypes", []),
            filter_criteria=configuration.get("FilterCriteria"),
            starting_position=configuration.get("StartingPosition") or "TRIM_HORIZON",
            max_retries=_limit(configuration.get("MaximumRetryAttempts")),
            max_age_seconds=_limit(configuration.get("MaximumRecordAgeInSeconds")),
            bisects=str(configuration.get("BisectBatchOnFunctionError", False)).lower() == "true",
            failure_destination=destination.get("Destination"),
            lanes=int(concurrency or configuration.get("ParallelizationFactor") or 1),
        )


def _limit(value: Any) -> int | None:
    return None if value is None or int(value) < 0 else int(value)


def failed_identifiers(payload: Any) -> set[str] | None:
    """The items a function reports as failed; None for an answer that Lambda calls malformed.

    A malformed answer counts as a failure of the whole batch.
    """
    if payload is None or payload == {}:
        return set()
    failures = payload.get("batchItemFailures") if isinstance(payload, dict) else None
    if failures is None:
        return set() if isinstance(payload, dict) and "batchItemFailures" in payload else None
    try:
        identifiers = {failure["itemIdentifier"] for failure in failures}
    except (KeyError, TypeError):
        return None
    return None if "" in identifiers or None in identifiers else identifiers

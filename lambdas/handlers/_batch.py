"""Batches of records: each is handled on its own, and only those that failed come again."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.observability import LambdaHandler, count, logger, observed

__all__ = ["EventType", "batch_handler"]


def batch_handler(event_type: EventType, handle_record: Callable[[Any], None]) -> LambdaHandler:
    """Make the entry point of a function behind an event source mapping.

    Args:
        event_type: Where the records come from.
        handle_record: Handles one record, given as Powertools' class for it; raises if the record
            must come again.

    Returns:
        The handler; the mapping has to report partial batch failures
        (`ReportBatchItemFailures`).
    """

    def entry(event: dict[str, Any], context: LambdaContext) -> Any:
        processor = BatchProcessor(event_type=event_type, raise_on_entire_batch_failure=False)
        answer = process_partial_response(
            event=event, record_handler=handle_record, processor=processor, context=context
        )
        for failure in processor.exceptions:
            logger().error("A record failed", exc_info=failure[1])
            count("RecordsFailed")
        return answer

    return observed(entry)

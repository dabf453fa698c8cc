"""SQS's redrive, `StartMessageMoveTask`, which moto lacks.

Source: Amazon SQS API reference. As there, only the dead-letter queue of another queue can be a
source; messages go back to that queue, at once here.
"""

import time
import uuid
from typing import Any

from moto.core.responses import ActionResult
from moto.sqs.exceptions import SQSException
from moto.sqs.responses import SQSResponse

__all__ = ["install_move_tasks"]


class _NoSuchSourceError(SQSException):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(
            "ResourceNotFoundException",
            "Source queue must be configured as a Dead Letter Queue of another queue.",
        )


def install_move_tasks() -> None:
    """Add the two actions to moto's SQS."""
    tasks: dict[str, list[dict[str, Any]]] = {}

    def start(response: Any) -> ActionResult:
        source_arn = response._get_param("SourceArn")
        backend = response.sqs_backend
        source = backend.get_queue(source_arn.rsplit(":", 1)[1])
        sources = backend.list_dead_letter_source_queues(source.name)
        if not sources:
            raise _NoSuchSourceError
        destination = sources[0]
        messages = list(source._messages)
        for message in messages:
            backend.send_message(destination.name, message.body, message.message_attributes)
            source._messages.remove(message)
        handle = str(uuid.uuid4())
        tasks.setdefault(source_arn, []).insert(
            0,
            {
                "TaskHandle": handle,
                "Status": "COMPLETED",
                "SourceArn": source_arn,
                "DestinationArn": destination.queue_arn,
                "ApproximateNumberOfMessagesMoved": len(messages),
                "ApproximateNumberOfMessagesToMove": len(messages),
                "StartedTimestamp": int(time.time() * 1000),
            },
        )
        return ActionResult({"TaskHandle": handle})

    def listed(response: Any) -> ActionResult:
        limit = int(response._get_param("MaxResults") or 1)
        return ActionResult({"Results": tasks.get(response._get_param("SourceArn"), [])[:limit]})

    SQSResponse.start_message_move_task = start
    SQSResponse.list_message_move_tasks = listed

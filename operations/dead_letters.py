"""How many messages wait in a dead-letter queue, and how long."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from nvfp4_ddim_contracts.operations import DeadLetters

__all__ = ["QueueState", "inspect"]

_SAMPLE = 10


@dataclass(frozen=True)
class QueueState:
    """One dead-letter queue at a moment.

    Attributes:
        queue: Which.
        messages: About how many, those that are being moved included.
        age: Of the oldest among ten that were looked at; None where nothing waits.
    """

    queue: DeadLetters
    messages: int
    age: timedelta | None


def inspect(sqs: Any, queue: DeadLetters) -> QueueState:
    """Look into a dead-letter queue and leave everything where it is."""
    attributes = sqs.get_queue_attributes(
        QueueUrl=queue.url,
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )["Attributes"]
    messages = sum(map(int, attributes.values()))
    seen = sqs.receive_message(
        QueueUrl=queue.url,
        MaxNumberOfMessages=_SAMPLE,
        # Seen and not taken: others may receive them at once.
        VisibilityTimeout=0,
        AttributeNames=["SentTimestamp"],
    ).get("Messages", [])
    sent = [int(message["Attributes"]["SentTimestamp"]) for message in seen]
    oldest = datetime.fromtimestamp(min(sent) / 1000, UTC) if sent else None
    return QueueState(queue, messages, datetime.now(UTC) - oldest if oldest else None)

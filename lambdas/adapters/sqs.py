"""A queue of SQS."""

from dataclasses import dataclass
from typing import Any

__all__ = ["SqsQueue"]


@dataclass(frozen=True)
class SqsQueue:
    """Implements `MessageQueue`."""

    client: Any
    url: str

    def send(self, body: str) -> None:
        """Add a message."""
        self.client.send_message(QueueUrl=self.url, MessageBody=body)

    def postpone(self, receipt: str, seconds: int) -> None:
        """Let a message that was received come again no earlier than in `seconds`."""
        self.client.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=receipt, VisibilityTimeout=seconds
        )

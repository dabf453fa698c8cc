"""Topics of SNS."""

import json
from dataclasses import dataclass
from typing import Any

__all__ = ["SnsTopics"]


@dataclass(frozen=True)
class SnsTopics:
    """Implements `Announcements` on the two topics of inference."""

    client: Any
    success_topic_arn: str
    error_topic_arn: str

    def publish(self, message: dict[str, Any], *, failed: bool) -> None:
        """Tell how an attempt went."""
        topic = self.error_topic_arn if failed else self.success_topic_arn
        self.client.publish(TopicArn=topic, Message=json.dumps(message))

"""What becomes of an asynchronous invocation that failed for good.

Source: AWS Lambda developer guide, "Capturing records of Lambda asynchronous invocations".
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.clients import local_client

__all__ = ["AsyncPolicy", "failure_record", "send_to_destination"]


@dataclass(frozen=True)
class AsyncPolicy:
    """How often an asynchronous invocation is repeated, and who hears of its failure.

    Attributes:
        retries: Repetitions after the first attempt.
        on_failure_arn: An SNS topic or an SQS queue, or None.
    """

    retries: int = 2
    on_failure_arn: str | None = None


def failure_record(function_arn: str, event: Any, payload: bytes, attempts: int) -> dict[str, Any]:
    """The record that Lambda sends to an on-failure destination."""
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(),
        "requestContext": {
            "functionArn": f"{function_arn}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": attempts,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": json.loads(payload),
    }


def send_to_destination(arn: str, record: dict[str, Any], aws_url: str) -> None:
    """Publish to a topic, or send to a queue."""
    text = json.dumps(record)
    if arn.split(":")[2] == "sns":
        local_client("sns", aws_url).publish(TopicArn=arn, Message=text)
        return
    sqs = local_client("sqs", aws_url)
    url = sqs.get_queue_url(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=text)

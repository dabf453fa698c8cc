"""A stage made by hand in moto: table, queues and functions that do as they are told."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.events.move_tasks import install_move_tasks
from nvfp4_ddim_contracts.operations import DeadLetterKind, DeadLetters
from operations.redrive import Redriver

TABLE = "jobs"


@dataclass
class FakeLambda:
    """Answers `invoke` as told; keeps the events."""

    events: list[Any] = field(default_factory=list)
    answer: Any = None
    error: bool = False

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        self.events.append((FunctionName, json.loads(Payload)))
        payload = {"errorMessage": "still broken"} if self.error else self.answer
        answer: dict[str, Any] = {"Payload": BytesIO(json.dumps(payload).encode())}
        return answer | ({"FunctionError": "Unhandled"} if self.error else {})


class World:
    """moto's queues and table, and one fake function."""

    def __init__(self) -> None:
        self.sqs = boto3.client("sqs")
        self.dynamodb = boto3.client("dynamodb")
        self.function = FakeLambda()
        self.started: list[tuple[str, Any]] = []
        self.urls: dict[str, str] = {}
        for name in ("work-dead", "topic-dead", "stream-dead", "event-dead", "work"):
            self.urls[name] = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(
            QueueUrl=self.urls["work-dead"], AttributeNames=["QueueArn"]
        )["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
        self.sqs.set_queue_attributes(
            QueueUrl=self.urls["work"], Attributes={"RedrivePolicy": policy}
        )
        self.redriver = Redriver(self.client, TABLE, sleep=lambda seconds: None)

    def client(self, service: str) -> Any:
        return {
            "sqs": self.sqs,
            "dynamodb": self.dynamodb,
            "lambda": self.function,
            "stepfunctions": self,
        }[service]

    def start_execution(self, **arguments: Any) -> None:
        self.started.append((arguments["stateMachineArn"], json.loads(arguments["input"])))

    def letters(self, kind: DeadLetterKind, queue: str, target: str = "function") -> DeadLetters:
        return DeadLetters(name="letters", kind=kind, url=self.urls[queue], target=target)

    def send(self, queue: str, *bodies: Any) -> None:
        for body in bodies:
            text = body if isinstance(body, str) else json.dumps(body)
            self.sqs.send_message(QueueUrl=self.urls[queue], MessageBody=text)

    def waiting(self, queue: str) -> int:
        """Messages in a queue, hidden ones included."""
        attributes = self.sqs.get_queue_attributes(
            QueueUrl=self.urls[queue],
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        return sum(map(int, attributes.values()))

    def bodies(self, queue: str) -> list[str]:
        """Everything that can be received from a queue."""
        found = []
        while messages := self.sqs.receive_message(
            QueueUrl=self.urls[queue], MaxNumberOfMessages=10, VisibilityTimeout=60
        ).get("Messages"):
            found += [message["Body"] for message in messages]
        return found

    def put_job(self, job_id: str, state: str, updated_at: datetime) -> None:
        text = updated_at.astimezone(UTC).isoformat(timespec="microseconds")
        self.dynamodb.put_item(
            TableName=TABLE,
            Item={"pk": {"S": f"job#{job_id}"}, "state": {"S": state}, "updated_at": {"S": text}},
        )


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    install_move_tasks()
    with mock_aws():
        boto3.client("dynamodb").create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"}
                for name in ("pk", "state", "updated_at")
            ],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-state",
                    "KeySchema": [
                        {"AttributeName": "state", "KeyType": "HASH"},
                        {"AttributeName": "updated_at", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        yield World()


@pytest.fixture
def note() -> Callable[[datetime, datetime], dict[str, Any]]:
    """Lambda's note about a batch of the stream that it gave up on."""

    def make(first: datetime, last: datetime) -> dict[str, Any]:
        return {
            "requestContext": {"condition": "RetryAttemptsExhausted"},
            "version": "1.0",
            "DDBStreamBatchInfo": {
                "shardId": "shardId-1",
                "startSequenceNumber": "1",
                "endSequenceNumber": "9",
                "approximateArrivalOfFirstRecord": first.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "approximateArrivalOfLastRecord": last.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "batchSize": 1,
                "streamArn": "arn:aws:dynamodb:eu-central-1:123456789012:table/jobs/stream/1",
            },
        }

    return make

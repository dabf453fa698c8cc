"""Moving dead letters back to where they are worked on.

A message leaves its dead-letter queue only after it was accepted elsewhere. An interruption in
between means that it is handled twice, which every function of the service bears.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from nvfp4_ddim_contracts.operations import DeadLetterKind, DeadLetters

from .errors import RedriveError
from .stage import Clients
from .stream_records import FailedBatch, changes_of, stream_events

__all__ = ["Redriver", "Report"]

_HIDDEN_SECONDS = 300
_POLL_SECONDS = 1.0
_AT_ONCE = 10


@dataclass(frozen=True)
class Report:
    """What became of the messages: moved and gone, or still where they were, with the reasons."""

    moved: int
    kept: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Redriver:
    """Redrives one stage's queues."""

    clients: Clients
    job_table: str
    sleep: Callable[[float], None] = time.sleep

    def redrive(self, queue: DeadLetters) -> Report:
        """Move every message of a dead-letter queue back.

        Raises:
            RedriveError: SQS could not move them.
        """
        if queue.kind is DeadLetterKind.QUEUE:
            return self._move(queue)
        accept = {
            DeadLetterKind.TOPIC: self._send,
            DeadLetterKind.STREAM: self._replay,
            DeadLetterKind.EVENT: self._invoke_with,
            DeadLetterKind.EXECUTION: self._start_with,
        }[queue.kind]
        return self._drain(queue, accept)

    def _move(self, queue: DeadLetters) -> Report:
        """Let SQS do it: it goes on even if this command is interrupted."""
        sqs = self.clients("sqs")
        arn = sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["QueueArn"])[
            "Attributes"
        ]["QueueArn"]
        sqs.start_message_move_task(SourceArn=arn)
        while True:
            (task, *_) = sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"]
            if task["Status"] != "RUNNING":
                break
            self.sleep(_POLL_SECONDS)
        moved = int(task.get("ApproximateNumberOfMessagesMoved", 0))
        if task["Status"] != "COMPLETED":
            raise RedriveError(
                f"SQS moved {moved} messages of '{queue.name}' and then stopped "
                f"({task['Status']}): {task.get('FailureReason', 'no reason given')}."
            )
        return Report(moved, 0)

    def _start_with(self, queue: DeadLetters, body: str) -> None:
        self.clients("stepfunctions").start_execution(stateMachineArn=queue.target, input=body)

    def _drain(self, queue: DeadLetters, accept: Callable[[DeadLetters, str], None]) -> Report:
        sqs = self.clients("sqs")
        moved, reasons = 0, []
        while messages := sqs.receive_message(
            QueueUrl=queue.url,
            MaxNumberOfMessages=_AT_ONCE,
            VisibilityTimeout=_HIDDEN_SECONDS,
            # Long polling asks all of SQS's servers: an empty answer means an empty queue.
            WaitTimeSeconds=1,
        ).get("Messages"):
            for message in messages:
                receipt = message["ReceiptHandle"]
                try:
                    accept(queue, message["Body"])
                except (RedriveError, ValidationError) as error:
                    reasons.append(str(error))
                    continue
                sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=receipt)
                moved += 1
        return Report(moved, len(reasons), tuple(reasons))

    def _send(self, queue: DeadLetters, body: str) -> None:
        self.clients("sqs").send_message(QueueUrl=queue.target, MessageBody=body)

    def _replay(self, queue: DeadLetters, body: str) -> None:
        batch = FailedBatch.model_validate_json(body)
        items = changes_of(self.clients("dynamodb"), self.job_table, batch)
        for event in stream_events(items, batch):
            answer = self._invoke(queue.target, event)
            if failures := (answer or {}).get("batchItemFailures"):
                raise RedriveError(
                    f"{queue.target} failed again on {len(failures)} of "
                    f"{len(event['Records'])} jobs; its log says why."
                )

    def _invoke_with(self, queue: DeadLetters, body: str) -> None:
        try:
            event = json.loads(body)
        except ValueError as error:
            raise RedriveError(f"A message of '{queue.name}' is no event: {error}") from error
        self._invoke(queue.target, event)

    def _invoke(self, function: str, event: Any) -> Any:
        answer = self.clients("lambda").invoke(
            FunctionName=function, Payload=json.dumps(event).encode()
        )
        payload = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
            message = payload.get("errorMessage", "") if isinstance(payload, dict) else ""
            raise RedriveError(f"{function} failed again: {message or 'its log says why'}.")
        return payload

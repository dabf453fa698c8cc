"""What operators' tools are told about dead-letter queues."""

from collections.abc import Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn

from nvfp4_ddim_contracts.operations import DEAD_LETTERS_OUTPUT, DeadLetterKind

from .queues import DeadLetterQueue, WorkQueue

__all__ = ["DeadLetterSource", "publish_dead_letters"]


@dataclass(frozen=True)
class DeadLetterSource:
    """A dead-letter queue and the way back from it, by one of the five constructors."""

    queue: DeadLetterQueue
    kind: DeadLetterKind
    target: str

    @classmethod
    def of_queue(cls, queue: WorkQueue) -> "DeadLetterSource":
        """Messages that a queue's consumer failed on."""
        return cls(queue.dead_letters, DeadLetterKind.QUEUE, queue.queue_url)

    @classmethod
    def of_topic(cls, queue: DeadLetterQueue, subscriber: sqs.IQueue) -> "DeadLetterSource":
        """Notifications that did not reach the queue that subscribed."""
        return cls(queue, DeadLetterKind.TOPIC, subscriber.queue_url)

    @classmethod
    def of_stream(cls, queue: DeadLetterQueue, reader: lambda_.IFunction) -> "DeadLetterSource":
        """Changes of the job table that a function failed on."""
        return cls(queue, DeadLetterKind.STREAM, reader.function_name)

    @classmethod
    def of_events(cls, queue: DeadLetterQueue, handler: lambda_.IFunction) -> "DeadLetterSource":
        """Events that a function failed on or never got."""
        return cls(queue, DeadLetterKind.EVENT, handler.function_name)

    @classmethod
    def of_executions(
        cls, queue: DeadLetterQueue, machine: sfn.IStateMachine
    ) -> "DeadLetterSource":
        """Events that did not start a state machine."""
        return cls(queue, DeadLetterKind.EXECUTION, machine.state_machine_arn)


def publish_dead_letters(stack: cdk.Stack, sources: Mapping[str, DeadLetterSource]) -> None:
    """Name every dead-letter queue in an output of its own, as `DeadLetters`."""
    for name, source in sources.items():
        document = {
            "name": name,
            "kind": source.kind.value,
            "url": source.queue.queue_url,
            "target": source.target,
        }
        cdk.CfnOutput(
            stack,
            f"{DEAD_LETTERS_OUTPUT}{name.title().replace('_', '').replace('-', '')}",
            value=stack.to_json_string(document),
            description=f"What 'python -m operations redrive {name}' moves back",
        )

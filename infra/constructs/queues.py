"""Queues and topics, encrypted with the stage's key and closed to anything without TLS."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.nag import accept_finding

__all__ = ["DeadLetterQueue", "EncryptedTopic", "WorkQueue"]

_MAX_RECEIVES = 5


class DeadLetterQueue(sqs.Queue):
    """Where what failed for good waits, for the longest time SQS allows."""

    def __init__(self, scope: Construct, construct_id: str, *, key: kms.IKey) -> None:
        """Define the queue."""
        super().__init__(
            scope,
            construct_id,
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14),
        )
        accept_finding(
            self, "It is a dead-letter queue itself, of a source that is no queue.", "SQS3"
        )


class WorkQueue(sqs.Queue):
    """A queue that a function consumes, with a dead-letter queue behind it.

    Attributes:
        dead_letters: Messages that failed too often.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key: kms.IKey,
        consumer_timeout: cdk.Duration,
        max_receives: int = _MAX_RECEIVES,
    ) -> None:
        """Define both queues.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            key: Encrypts the messages.
            consumer_timeout: Of the function. A message stays hidden six times as long, so that
                it is not handed out twice while the function's retries are under way.
            max_receives: How often a message is tried.
        """
        self.dead_letters = DeadLetterQueue(scope, f"{construct_id}DeadLetters", key=key)
        super().__init__(
            scope,
            construct_id,
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(4),
            visibility_timeout=cdk.Duration.seconds(6 * int(consumer_timeout.to_seconds())),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=max_receives
            ),
        )


class EncryptedTopic(sns.Topic):
    """A topic under the stage's key."""

    def __init__(self, scope: Construct, construct_id: str, *, key: kms.IKey) -> None:
        """Define the topic."""
        super().__init__(scope, construct_id, master_key=key, enforce_ssl=True)

    def allow_budgets(self) -> None:
        """Let AWS Budgets of this account publish."""
        stack = cdk.Stack.of(self)
        budgets = f"arn:{stack.partition}:budgets::{stack.account}:budget/*"
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Budgets",
                principals=[iam.ServicePrincipal("budgets.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": stack.account},
                    "ArnLike": {"aws:SourceArn": budgets},
                },
            )
        )

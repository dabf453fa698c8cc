"""Webhooks: a queue of their own, so that a dead receiver keeps nobody else waiting."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.nag import accept_finding
from infra.stages import StageConfig
from lambdas.domain.webhooks import MAX_DELIVERY_ATTEMPTS
from lambdas.settings import AnnounceJobSettings, DeliverWebhookSettings
from nvfp4_ddim_contracts import JobState
from nvfp4_ddim_contracts.batches import batch_owner

from .dead_letters import DeadLetterSource
from .grants import allow, allow_key_use
from .job_table import JobTable
from .python_function import FunctionParts, PythonFunction
from .queues import DeadLetterQueue, WorkQueue
from .removal import removal_policy
from .signing_key import SigningKey

__all__ = ["WebhookQueue", "Webhooks"]

_DELIVERY_TIMEOUT = cdk.Duration.seconds(30)
_CONCURRENT_DELIVERIES = 20


class WebhookQueue(Construct):
    """The queue of calls, and the secret that callers' secrets derive from.

    Attributes:
        queue: Jobs that have ended and whose receivers are to be told.
        secret: The stage's own.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, config: StageConfig, key: kms.IKey
    ) -> None:
        """Define both."""
        super().__init__(scope, construct_id)
        self.queue = WorkQueue(
            self,
            "Calls",
            key=key,
            consumer_timeout=_DELIVERY_TIMEOUT,
            max_receives=MAX_DELIVERY_ATTEMPTS,
        )
        self.secret = secretsmanager.Secret(
            self,
            "Secret",
            description="Webhook secrets of all callers derive from this one",
            encryption_key=key,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=64, exclude_punctuation=True
            ),
            removal_policy=removal_policy(config),
        )
        accept_finding(
            self.secret,
            "Rotation would change every caller's secret without telling them.",
            "SMG4",
        )


class Webhooks(Construct):
    """The functions before and behind the queue.

    Attributes:
        dead_letters: What could not be queued, and what could not be delivered.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        parts: FunctionParts,
        table: JobTable,
        calls: WebhookQueue,
        batch_queue: sqs.IQueue,
        signing_key: SigningKey,
        key: kms.IKey,
    ) -> None:
        """Define the functions.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            parts: What the functions have in common.
            table: The job table.
            calls: The queue between them.
            batch_queue: Where ended jobs of batches are announced; a stream feeds two functions
                well, and this is the second.
            signing_key: Signs links to pictures.
            key: Encrypts the queues.
        """
        super().__init__(scope, construct_id)
        self._parts, self._key = parts, key
        self.dead_letters = {
            "announce": self._announce(table, calls, batch_queue),
            "webhooks": self._deliver(table, calls, signing_key),
        }

    def _announce(
        self, table: JobTable, calls: WebhookQueue, batch_queue: sqs.IQueue
    ) -> DeadLetterSource:
        function = PythonFunction(
            self,
            "Announce",
            config=self._parts.config,
            bundle=self._parts.bundle,
            handler="announce_job",
            timeout=cdk.Duration.seconds(30),
            environment=self._parts.environment(AnnounceJobSettings),
        )
        queues = [calls.queue.queue_arn, batch_queue.queue_arn]
        allow(function, ["sqs:SendMessage"], queues)
        allow_key_use(function, self._key, encrypt=True)
        lost = DeadLetterQueue(self, "AnnounceDeadLetters", key=self._key)
        ended = {
            "state": {"S": [state for state in JobState if state.is_terminal]},
            "$or": [
                {"webhook_url": {"S": [{"exists": True}]}},
                {"owner": {"S": [{"prefix": batch_owner("")}]}},
            ],
        }
        table.feed(function, ended, lost)
        return DeadLetterSource.of_stream(lost, function)

    def _deliver(
        self, table: JobTable, calls: WebhookQueue, signing_key: SigningKey
    ) -> DeadLetterSource:
        function = PythonFunction(
            self,
            "Deliver",
            config=self._parts.config,
            bundle=self._parts.bundle,
            handler="deliver_webhook",
            timeout=_DELIVERY_TIMEOUT,
            environment=self._parts.environment(DeliverWebhookSettings),
        )
        table.allow(function, "GetItem")
        allow(function, ["sqs:ChangeMessageVisibility"], [calls.queue.queue_arn])
        for secret in (signing_key.secret, calls.secret):
            allow(function, ["secretsmanager:GetSecretValue"], [secret.secret_arn])
            allow_key_use(function, secret.encryption_key, encrypt=False)
        function.add_event_source(
            sources.SqsEventSource(
                calls.queue,
                # One call an invocation: a slow receiver holds up no other in its batch.
                batch_size=1,
                report_batch_item_failures=True,
                max_concurrency=_CONCURRENT_DELIVERIES,
            )
        )
        return DeadLetterSource.of_queue(calls.queue)

"""The job table."""

import json
from typing import Any

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.nag import accept_finding
from infra.stages import StageConfig
from nvfp4_ddim_contracts.table import PARTITION_KEY, STATE_INDEX

from .grants import allow
from .removal import removal_policy

__all__ = ["OWNER_INDEX", "STATE_INDEX", "JobTable"]

OWNER_INDEX = "by-owner"
_STREAM_RETRIES = 8


class JobTable(dynamodb.Table):
    """Jobs and idempotency records; its stream starts the work."""

    def __init__(
        self, scope: Construct, construct_id: str, *, config: StageConfig, key: kms.IKey
    ) -> None:
        """Define table, indexes, time to live and stream."""
        self._own_key = key if config.encrypt_table_with_own_key else None
        super().__init__(
            scope,
            construct_id,
            partition_key=_text(PARTITION_KEY),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED
            if self._own_key
            else dynamodb.TableEncryption.AWS_MANAGED,
            encryption_key=self._own_key,
            time_to_live_attribute="expires_at",
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=config.keep_data,
            removal_policy=removal_policy(config),
        )
        self.add_global_secondary_index(
            index_name=OWNER_INDEX, partition_key=_text("owner"), sort_key=_text("created_at")
        )
        self.add_global_secondary_index(
            index_name=STATE_INDEX, partition_key=_text("state"), sort_key=_text("updated_at")
        )

    def allow(
        self,
        grantee: iam.IGrantable,
        *actions: str,
        index: str | None = None,
        partition: str | None = None,
    ) -> None:
        """Allow actions, such as "GetItem", on the table's items, one index or some partitions.

        `partition` may end in `*`. DynamoDB decrypts with the caller's rights, so that the table's
        own key comes with it.
        """
        resource = f"{self.table_arn}/index/{index}" if index else self.table_arn
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(
                actions=[f"dynamodb:{action}" for action in actions],
                resources=[resource],
                conditions=_only(partition) if partition else None,
            )
        )
        if self._own_key:
            allow(grantee, _KEY_ACTIONS, [self._own_key.key_arn])

    def feed(
        self, function: lambda_.Function, new_image: dict[str, Any], dead_letters: sqs.IQueue
    ) -> None:
        """Call a function with the changes after which an item looks like this.

        Args:
            function: Reports which records failed; those come again.
            new_image: Attributes in Lambda's filter syntax.
            dead_letters: Gets what failed for good.
        """
        pattern = {"dynamodb": {"NewImage": new_image}}
        function.add_event_source(
            sources.DynamoEventSource(
                self,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                batch_size=10,
                bisect_batch_on_error=True,
                retry_attempts=_STREAM_RETRIES,
                report_batch_item_failures=True,
                parallelization_factor=4,
                on_failure=sources.SqsDlq(dead_letters),
                filters=[{"pattern": json.dumps(pattern)}],
            )
        )
        accept_finding(
            function.role or function,
            "Sending to an encrypted queue takes the families of both actions; the key is ours.",
            "IAM5[Action::kms:GenerateDataKey*]",
            "IAM5[Action::kms:ReEncrypt*]",
        )


_KEY_ACTIONS = [
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
]


def _only(partition: str) -> dict[str, Any]:
    matches = "StringLike" if partition.endswith("*") else "StringEquals"
    return {f"ForAllValues:{matches}": {"dynamodb:LeadingKeys": [partition]}}


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)

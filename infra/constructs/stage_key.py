"""The stage's encryption key."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.stages import StageConfig

from .removal import removal_policy

__all__ = ["StageKey"]

# SNS writes into the encrypted queue, EventBridge into dead-letter queues, CloudWatch's alarms
# and AWS Budgets into encrypted topics; none of them uses a role of ours.
_SERVICES = (
    "sns.amazonaws.com",
    "events.amazonaws.com",
    "cloudwatch.amazonaws.com",
    "budgets.amazonaws.com",
)


class StageKey(kms.Key):
    """One rotated key for buckets, queues, topics and secrets.

    All statements that services need stand here and name the account, not the resource. Stacks
    that use the key know it by its ARN: no statement flows back from them, so no cycle arises.
    """

    def __init__(self, scope: Construct, construct_id: str, *, config: StageConfig) -> None:
        """Define the key."""
        super().__init__(
            scope,
            construct_id,
            description=f"Data of nvfp4-ddim, stage {config.name}",
            enable_key_rotation=True,
            removal_policy=removal_policy(config),
            pending_window=cdk.Duration.days(30 if config.keep_data else 7),
        )
        account = cdk.Stack.of(self).account
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="ServicesOfThisAccount",
                principals=[iam.ServicePrincipal(service) for service in _SERVICES],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": account}},
            )
        )

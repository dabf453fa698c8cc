"""The function that stops the service, and the topic that the budget calls it by."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.lambda_bundle import LambdaBundle
from infra.nag import accept_finding, spelled
from infra.stages import StageConfig
from lambdas.settings import StopSpendingSettings
from nvfp4_ddim_contracts.table import STOP_PARTITION

from .dead_letters import DeadLetterSource
from .endpoint_scaling import ScaledEndpoint
from .grants import allow, allow_key_use
from .job_table import JobTable
from .python_function import PythonFunction, environment_for
from .queues import DeadLetterQueue, EncryptedTopic

__all__ = ["SpendingStop"]


class SpendingStop(Construct):
    """Stops a stage: a flag in the job table, and no machines where none has to be.

    Attributes:
        topic: Whatever is published here stops the service.
        function: What stops it.
        scalable_targets: The machines it takes away, as JSON.
        dead_letters: Calls to stop that failed.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        bundle: LambdaBundle,
        table: JobTable,
        endpoints: tuple[ScaledEndpoint, ...],
        key: kms.IKey,
    ) -> None:
        """Define topic and function.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            config: The stage.
            bundle: The function's code.
            table: The job table.
            endpoints: Every one that costs money while it runs.
            key: Encrypts the topic.
        """
        super().__init__(scope, construct_id)
        self.topic = EncryptedTopic(self, "Topic", key=key)
        self.topic.allow_budgets()
        self.scalable_targets = cdk.Stack.of(self).to_json_string(
            [each.limits.model_dump() for each in endpoints]
        )
        values = {"TABLE_NAME": table.table_name, "SCALABLE_TARGETS": self.scalable_targets}
        lost = DeadLetterQueue(self, "DeadLetters", key=key)
        self.function = PythonFunction(
            self,
            "Stop",
            config=config,
            bundle=bundle,
            handler="stop_spending",
            timeout=cdk.Duration.seconds(30),
            environment=environment_for(StopSpendingSettings, values),
            dead_letters=lost,
        )
        allow_key_use(self.function, key, encrypt=True)
        table.allow(self.function, "GetItem", "PutItem", partition=STOP_PARTITION)
        _allow_scaling(self.function, [each.endpoint_arn for each in endpoints])
        self.topic.add_subscription(subscriptions.LambdaSubscription(self.function))
        self.dead_letters = DeadLetterSource.of_events(lost, self.function)


def _allow_scaling(function: PythonFunction, endpoint_arns: list[str]) -> None:
    """What Application Auto Scaling asks of who changes an endpoint's bounds.

    Source: Application Auto Scaling user guide, "Identity-based policy examples", SageMaker.
    """
    stack = cdk.Stack.of(function)
    where = f"{stack.partition}:application-autoscaling:{stack.region}:{stack.account}"
    function.add_to_role_policy(
        iam.PolicyStatement(
            actions=["application-autoscaling:RegisterScalableTarget"],
            resources=[f"arn:{where}:scalable-target/*"],
            conditions={"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}},
        )
    )
    allow(
        function,
        ["sagemaker:DescribeEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities"],
        endpoint_arns,
    )
    partition, region, account = (
        spelled(function, part) for part in (stack.partition, stack.region, stack.account)
    )
    accept_finding(
        function.role or function,
        "AWS makes up the target's id; the condition leaves SageMaker's targets alone.",
        f"IAM5[Resource::arn:{partition}:application-autoscaling:{region}:{account}"
        ":scalable-target/*]",
    )

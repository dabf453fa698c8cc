"""A Lambda function of this service: one handler of the shared bundle, and what it may read."""

from collections.abc import Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.errors import MissingSettingError
from infra.lambda_bundle import LambdaBundle
from infra.nag import accept_finding
from infra.stages import StageConfig
from lambdas.settings import Settings
from nvfp4_ddim_contracts.operations import metrics_namespace

__all__ = ["FunctionParts", "PythonFunction", "environment_for", "log_retention"]

# Lambda unpacks the bundle here; the file must be executable.
_STREAMING_RUNTIME = "/var/task/lambdas/runtime/start.sh"


def environment_for(settings: type[Settings], values: Mapping[str, str]) -> dict[str, str]:
    """The variables that a settings model reads, and no others.

    Args:
        settings: The handler's settings.
        values: Everything that the stack could tell a function.

    Returns:
        Name to value, for each field of the model that has a value here.

    Raises:
        MissingSettingError: A field without a default has no value.
    """
    environment = {}
    for name, field in settings.model_fields.items():
        variable = name.upper()
        if variable in values:
            environment[variable] = values[variable]
        elif field.is_required():
            raise MissingSettingError(f"{settings.__name__} needs {variable}; give it a value.")
    return environment


@dataclass(frozen=True, kw_only=True)
class FunctionParts:
    """What the functions of a stack have in common.

    Attributes:
        config: The stage.
        bundle: Their code.
        values: What their settings may ask for.
    """

    config: StageConfig
    bundle: LambdaBundle
    values: Mapping[str, str]

    def environment(self, settings: type[Settings]) -> dict[str, str]:
        """The variables that a settings model reads; see `environment_for`."""
        return environment_for(settings, self.values)


class PythonFunction(lambda_.Function):
    """`lambdas.handlers.<handler>.handler` on arm64, with a role and a log group of its own.

    Attributes:
        streams: Whether it answers in a stream.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        bundle: LambdaBundle,
        handler: str,
        timeout: cdk.Duration,
        memory_mb: int = 512,
        streams: bool = False,
        reserved_concurrency: int | None = None,
        environment: Mapping[str, str] | None = None,
        dead_letters: sqs.IQueue | None = None,
    ) -> None:
        """Define the function.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            config: The stage.
            bundle: The code that all functions share.
            handler: Module in `lambdas.handlers`.
            timeout: For one invocation.
            memory_mb: Memory, and with it the share of a CPU.
            streams: Whether `lambdas.runtime` runs it, so that its answer is streamed.
            reserved_concurrency: How many run at a time, at least and at most; None leaves it open.
            environment: The handler's settings.
            dead_letters: Gets events of asynchronous invocations that failed for good.
        """
        self.streams = streams
        log_group = logs.LogGroup(
            scope,
            f"{construct_id}Logs",
            retention=log_retention(config.log_retention_days),
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        role = iam.Role(
            scope,
            f"{construct_id}Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"Runs {handler}.",
        )
        log_group.grant_write(role)
        super().__init__(
            scope,
            construct_id,
            description=f"nvfp4-ddim {config.name}: {handler}",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            code=lambda_.Code.from_asset(
                str(bundle.directory),
                asset_hash=bundle.content_hash,
                asset_hash_type=cdk.AssetHashType.CUSTOM,
            ),
            handler=f"lambdas.handlers.{handler}.handler",
            role=role,
            log_group=log_group,
            timeout=timeout,
            memory_size=memory_mb,
            reserved_concurrent_executions=reserved_concurrency,
            tracing=lambda_.Tracing.ACTIVE,
            dead_letter_queue=dead_letters,
            environment={
                "POWERTOOLS_METRICS_NAMESPACE": metrics_namespace(config.name),
                "POWERTOOLS_SERVICE_NAME": handler,
                "LOG_LEVEL": config.log_level,
                **({"AWS_LAMBDA_EXEC_WRAPPER": _STREAMING_RUNTIME} if streams else {}),
                **(environment or {}),
            },
        )
        # Without this, a custom resource may call the function before its policy is attached.
        self.node.add_dependency(role)
        accept_finding(
            role, "X-Ray's two write actions know no resource to restrict.", "IAM5[Resource::*]"
        )
        accept_finding(
            self,
            "Python 3.13 is supported until 2029, and the bundle's wheels are built for it.",
            "L1",
        )


def log_retention(days: int) -> logs.RetentionDays:
    """CloudWatch's retention of so many days."""
    return {
        7: logs.RetentionDays.ONE_WEEK,
        14: logs.RetentionDays.TWO_WEEKS,
        30: logs.RetentionDays.ONE_MONTH,
        90: logs.RetentionDays.THREE_MONTHS,
        365: logs.RetentionDays.ONE_YEAR,
    }[days]

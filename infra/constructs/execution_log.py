"""What state machines write down of their executions."""

import aws_cdk as cdk
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.stages import StageConfig

from .python_function import log_retention

__all__ = ["execution_log"]


def execution_log(scope: Construct, config: StageConfig) -> sfn.LogOptions:
    """Every step, without what it was given: prompts end in no log.

    Args:
        scope: Parent of the log group.
        config: The stage.
    """
    return sfn.LogOptions(
        destination=logs.LogGroup(
            scope,
            "Logs",
            retention=log_retention(config.log_retention_days),
            removal_policy=cdk.RemovalPolicy.DESTROY,
        ),
        level=sfn.LogLevel.ALL,
        include_execution_data=False,
    )

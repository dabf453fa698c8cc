"""What becomes of asynchronous invocations that fail: the topic of failures hears of them."""

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.stages import StageConfig

__all__ = ["FailuresToTopic"]

_MAX_AGE_SECONDS = 21_600


class FailuresToTopic(lambda_.CfnEventInvokeConfig):
    """No retries by Lambda, and every failure to a topic.

    The function's role needs to publish there. CDK's own destination would grant it the topic's key
    with a wildcard.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: lambda_.IFunction,
        topic: sns.ITopic,
        config: StageConfig,
    ) -> None:
        """Define the configuration."""
        super().__init__(
            scope,
            construct_id,
            function_name=function.function_name,
            qualifier="$LATEST",
            # Another attempt is the job's own business, which knows how many there may be.
            maximum_retry_attempts=0,
            # What waits longer than a job may is expired already.
            maximum_event_age_in_seconds=min(config.times.deadline_seconds, _MAX_AGE_SECONDS),
            destination_config=lambda_.CfnEventInvokeConfig.DestinationConfigProperty(
                on_failure=lambda_.CfnEventInvokeConfig.OnFailureProperty(
                    destination=topic.topic_arn
                )
            ),
        )
        if function.role is not None:
            # Lambda looks whether the role may publish before it takes the configuration.
            self.node.add_dependency(function.role)

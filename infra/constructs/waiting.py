"""How a state machine waits while the service is stopped."""

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions_tasks as tasks

__all__ = ["LONGEST_STOP", "wait_while_stopped"]

LONGEST_STOP = cdk.Duration.days(7)
_ASK_AGAIN = cdk.Duration.minutes(15)


def wait_while_stopped(task: tasks.LambdaInvoke) -> None:
    """Ask again and again, for a week: nothing that was dropped is refused or lost meanwhile."""
    task.add_retry(
        errors=["ServiceStoppedError"],
        interval=_ASK_AGAIN,
        backoff_rate=1,
        max_attempts=int(LONGEST_STOP.to_minutes() // _ASK_AGAIN.to_minutes()),
    )

"""The switch that the budget's function uses as well, in an operator's hand."""

from lambdas.adapters.dynamodb_held import DynamoDBHeldJobs
from lambdas.adapters.dynamodb_stop import DynamoDBStopFlag
from lambdas.adapters.scaling import ScalingCapacity
from lambdas.adapters.system import SystemClock
from lambdas.domain.holding import JobReleaser
from lambdas.domain.stopping import ServiceSwitch
from nvfp4_ddim_contracts.table import STATE_INDEX

from .errors import StageStoppedError
from .stage import Clients, Stage

__all__ = ["job_releaser", "require_running", "service_switch"]


def service_switch(clients: Clients, stage: Stage) -> ServiceSwitch:
    """Stops and resumes a deployed stage."""
    return ServiceSwitch(
        flag=DynamoDBStopFlag(clients("dynamodb"), stage.job_table),
        capacity=ScalingCapacity(clients("application-autoscaling"), stage.scalable_targets),
        clock=SystemClock(),
    )


def require_running(clients: Clients, stage: Stage) -> None:
    """Let nothing begin that would be paid while the service is stopped.

    Raises:
        StageStoppedError: It is; the message says why, and how to go on.
    """
    stop = DynamoDBStopFlag(clients("dynamodb"), stage.job_table).read()
    if stop is not None:
        raise StageStoppedError(
            f"The stage '{stage.name}' is stopped since {stop.stopped_at:%Y-%m-%d %H:%M} UTC, and "
            f"nothing may begin: {stop.reason} Resume it first: python -m operations resume "
            f"--stage {stage.name}"
        )


def job_releaser(clients: Clients, stage: Stage) -> JobReleaser:
    """Lets jobs go on that waited for the end of a stop."""
    return JobReleaser(DynamoDBHeldJobs(clients("dynamodb"), stage.job_table, STATE_INDEX))

"""The switch that the budget's function uses as well, in an operator's hand."""

from lambdas.adapters.dynamodb_held import DynamoDBHeldJobs
from lambdas.adapters.dynamodb_stop import DynamoDBStopFlag
from lambdas.adapters.scaling import ScalingCapacity
from lambdas.adapters.system import SystemClock
from lambdas.domain.holding import JobReleaser
from lambdas.domain.stopping import ServiceSwitch
from nvfp4_ddim_contracts.table import STATE_INDEX

from .stage import Clients, Stage

__all__ = ["job_releaser", "service_switch"]


def service_switch(clients: Clients, stage: Stage) -> ServiceSwitch:
    """Stops and resumes a deployed stage."""
    return ServiceSwitch(
        flag=DynamoDBStopFlag(clients("dynamodb"), stage.job_table),
        capacity=ScalingCapacity(clients("application-autoscaling"), stage.scalable_targets),
        clock=SystemClock(),
    )


def job_releaser(clients: Clients, stage: Stage) -> JobReleaser:
    """Lets jobs go on that waited for the end of a stop."""
    return JobReleaser(DynamoDBHeldJobs(clients("dynamodb"), stage.job_table, STATE_INDEX))

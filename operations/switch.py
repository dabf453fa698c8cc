"""The switch that the budget's function uses as well, in an operator's hand."""

from lambdas.adapters.dynamodb_stop import DynamoDBStopFlag
from lambdas.adapters.scaling import ScalingCapacity
from lambdas.adapters.system import SystemClock
from lambdas.domain.stopping import ServiceSwitch

from .stage import Clients, Stage

__all__ = ["service_switch"]


def service_switch(clients: Clients, stage: Stage) -> ServiceSwitch:
    """Stops and resumes a deployed stage."""
    return ServiceSwitch(
        flag=DynamoDBStopFlag(clients("dynamodb"), stage.job_table),
        capacity=ScalingCapacity(clients("application-autoscaling"), stage.scalable_targets),
        clock=SystemClock(),
    )

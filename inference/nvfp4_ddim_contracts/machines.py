"""What runs the jobs of each lane, as far as it has to be known to estimate what a job costs."""

from typing import Annotated, Literal

from pydantic import Field

from ._base import Contract
from .lanes import Lane
from .pricing import (
    LambdaArchitecture,
    MachinePrice,
    function_price,
    instance_price,
    serverless_price,
)

__all__ = [
    "FunctionMachine",
    "InstanceMachine",
    "LaneMachines",
    "Machine",
    "ServerlessMachine",
]


class InstanceMachine(Contract):
    """A SageMaker instance; it is paid while it stands, and a job costs its share of the time."""

    kind: Literal["instance"] = "instance"
    instance_type: str = Field(min_length=1, description="SageMaker's name, such as ml.g6.xlarge.")

    def price(self) -> MachinePrice | None:
        """What its work costs; None for a type without a known price."""
        return instance_price(self.instance_type)


class FunctionMachine(Contract):
    """A Lambda function; only its work is paid."""

    kind: Literal["function"] = "function"
    architecture: LambdaArchitecture
    memory_mb: int = Field(ge=128, le=10_240)

    def price(self) -> MachinePrice:
        """What its work costs."""
        return function_price(self.architecture, self.memory_mb)


class ServerlessMachine(Contract):
    """A serverless endpoint; only its work is paid."""

    kind: Literal["serverless"] = "serverless"
    memory_mb: int = Field(ge=1_024, le=6_144, multiple_of=1_024)

    def price(self) -> MachinePrice:
        """What its work costs."""
        return serverless_price(self.memory_mb)


Machine = Annotated[
    InstanceMachine | FunctionMachine | ServerlessMachine, Field(discriminator="kind")
]


class LaneMachines(Contract):
    """The machine of each lane; a lane on which several kinds may serve is left out."""

    machines: dict[Lane, Machine] = Field(default_factory=dict)

    def price(self, lane: Lane, instance_type: str | None = None) -> MachinePrice | None:
        """What work on a lane costs, or None where that is not known.

        Args:
            lane: The lane.
            instance_type: What ran the job, where the container was told; it knows best.
        """
        if instance_type is not None:
            return instance_price(instance_type)
        machine = self.machines.get(lane)
        return machine.price() if machine else None

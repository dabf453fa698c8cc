"""What runs the jobs of a stage's lanes."""

from nvfp4_ddim_contracts.lanes import Lane
from nvfp4_ddim_contracts.machines import InstanceMachine, LaneMachines, Machine

from .stages import StageConfig

__all__ = ["lane_machines"]


def lane_machines(config: StageConfig) -> LaneMachines:
    """The machine of each lane; of a ladder's types only the container's answer can tell."""
    known: dict[Lane, Machine] = {}
    if not config.capacity.pools:
        known[Lane.ASYNC] = InstanceMachine(instance_type=config.capacity.instance_type)
    return LaneMachines(machines=known | config.lanes.machines())

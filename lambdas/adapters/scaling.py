"""The machines' bounds, by Application Auto Scaling.

Source: Application Auto Scaling API reference, "RegisterScalableTarget": registering again changes
the bounds and keeps the policies; a capacity above the new maximum is scaled in, and scheduled
scaling that is suspended does nothing.
"""

from dataclasses import dataclass
from typing import Any

from nvfp4_ddim_contracts.operations import ScalableTarget

__all__ = ["ScalingCapacity"]


@dataclass(frozen=True)
class ScalingCapacity:
    """Implements `Capacity` for endpoints."""

    client: Any
    targets: tuple[ScalableTarget, ...]

    def withdraw(self) -> None:
        """Let no machine run where none has to."""
        for target in self.targets:
            # A warm window that begins meanwhile must not raise the lower bound again.
            self._bound(target, target.stopped_capacity, target.stopped_capacity, scheduled=False)

    def restore(self) -> None:
        """Let as many run as the stage was deployed with."""
        for target in self.targets:
            self._bound(target, target.min_capacity, target.max_capacity, scheduled=True)

    def _bound(self, target: ScalableTarget, least: int, most: int, *, scheduled: bool) -> None:
        self.client.register_scalable_target(
            ServiceNamespace="sagemaker",
            ResourceId=target.resource_id,
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
            MinCapacity=least,
            MaxCapacity=most,
            SuspendedState={"ScheduledScalingSuspended": not scheduled},
        )

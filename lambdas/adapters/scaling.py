"""The machines' upper bound, by Application Auto Scaling.

Source: Application Auto Scaling API reference, "RegisterScalableTarget": registering again changes
the bounds and keeps the policies; a capacity above the new maximum is scaled in.
"""

from dataclasses import dataclass
from typing import Any

from nvfp4_ddim_contracts.operations import ScalableTarget

__all__ = ["ScalingCapacity"]


@dataclass(frozen=True)
class ScalingCapacity:
    """Implements `Capacity` for endpoints that scale from zero."""

    client: Any
    targets: tuple[ScalableTarget, ...]

    def withdraw(self) -> None:
        """Let no machine run."""
        for target in self.targets:
            self._bound(target, 0)

    def restore(self) -> None:
        """Let as many run as the stage was deployed with."""
        for target in self.targets:
            self._bound(target, target.max_capacity)

    def _bound(self, target: ScalableTarget, most: int) -> None:
        self.client.register_scalable_target(
            ServiceNamespace="sagemaker",
            ResourceId=target.resource_id,
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
            MinCapacity=0,
            MaxCapacity=most,
        )

"""Deep features of the UNet, kept from step to step of one run."""

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.diffusion import Branch, TimestepPlan

__all__ = ["FeatureCache", "refresh_timesteps"]


def refresh_timesteps(
    timesteps: TimestepPlan, interval: int, guided_at: frozenset[int] = frozenset()
) -> frozenset[int]:
    """At which timesteps the UNet runs whole.

    Args:
        timesteps: The steps of the run.
        interval: N: every N-th step, from the first.
        guided_at: Where guidance acts: the unconditional branch has no features yet at the first
            of these.

    Source: Ma et al. 2024 (arXiv:2312.00858), sec. 3.3, uniform 1:N inference.
    """
    whole = set(timesteps.timesteps[::interval])
    return frozenset(whole | ({max(guided_at)} if guided_at else set()))


class FeatureCache:
    """Deep features of each branch of guidance. Belongs to one run, never to the model."""

    def __init__(self, refresh_at: frozenset[int]) -> None:
        """Start empty.

        Args:
            refresh_at: The timesteps of `refresh_timesteps`.
        """
        self._refresh_at = refresh_at
        self._features: dict[Branch, Tensor] = {}

    def recall(self, t: int, branches: tuple[Branch, ...]) -> Tensor | None:
        """Features to reuse, or None where the UNet must run whole.

        Args:
            t: The timestep.
            branches: Of guidance, in the order of the batch.

        Returns:
            [len(branches) B, D, H, W].
        """
        if t in self._refresh_at or any(branch not in self._features for branch in branches):
            return None
        kept = [self._features[branch] for branch in branches]
        return kept[0] if len(kept) == 1 else torch.cat(kept)

    def store(self, branches: tuple[Branch, ...], features: Tensor) -> None:
        """Keep features for the steps to come.

        Args:
            branches: Of guidance, in the order of the batch.
            features: [len(branches) B, D, H, W].
        """
        self._features.update(zip(branches, features.chunk(len(branches)), strict=True))

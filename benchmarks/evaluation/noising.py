"""Fixed inputs to see what a change of weights does to a model's output."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["PROBE_STEPS", "noised", "relative_error"]

PROBE_STEPS = 5
"""Outputs are taken at the timesteps that DDIM with this many steps visits."""


def noised(clean: Tensor, alpha_cumprod: float, seed: int) -> Tensor:
    """x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps, the same eps whenever the seed is.

    Args:
        clean: x_0, float32 of any shape.
        alpha_cumprod: abar_t.
        seed: Of eps.
    """
    eps = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    return math.sqrt(alpha_cumprod) * clean + math.sqrt(1 - alpha_cumprod) * eps


def relative_error(exact: Sequence[Tensor], found: Sequence[Tensor]) -> float:
    """Root of the mean over timesteps of |found - exact|^2 / |exact|^2.

    Args:
        exact: One output for each timestep.
        found: The same with other weights.
    """
    ratios = [
        float((b.double() - a.double()).square().sum() / a.double().square().sum())
        for a, b in zip(exact, found, strict=True)
    ]
    return math.sqrt(sum(ratios) / len(ratios))

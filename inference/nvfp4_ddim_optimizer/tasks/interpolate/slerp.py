"""Spherical interpolation of noised latents, for models that were not trained to interpolate."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.diffusion import NoiseSchedule, PredictionType, StepEvent, TimestepPlan
from nvfp4_ddim_optimizer.errors import GenerationCancelled

__all__ = ["invert_ddim", "slerp"]

_NEARLY_PARALLEL = 0.9995


def slerp(first: Tensor, second: Tensor, fraction: float) -> Tensor:
    """Point on the great circle between two latents, with their norms interpolated.

    A straight line between two noises passes through shorter ones than the model ever sees.

    Args:
        first: [C, H, W] float32.
        second: The same.
        fraction: 0 gives the first, 1 the second.

    Source: Shoemake 1985, "Animating rotation with quaternion curves"; for latents Song et al.
        2021 (arXiv:2010.02502), eq. 67.
    """
    lengths = first.norm(), second.norm()
    if min(float(length) for length in lengths) == 0:
        return torch.lerp(first, second, fraction)
    one, other = first / lengths[0], second / lengths[1]
    cosine = float((one * other).sum().clamp(-1, 1))
    length = torch.lerp(lengths[0], lengths[1], fraction)
    if abs(cosine) > _NEARLY_PARALLEL:
        mixed = torch.lerp(one, other, fraction)
        direction = mixed / mixed.norm().clamp_min(1e-12)
    else:
        angle = math.acos(cosine)
        near, far = math.sin((1 - fraction) * angle), math.sin(fraction * angle)
        direction = (near * one + far * other) / math.sin(angle)
    return torch.mul(length, direction)


def invert_ddim(
    model: Callable[[Tensor, int], Tensor],
    clean: Tensor,
    schedule: NoiseSchedule,
    timesteps: TimestepPlan,
    *,
    prediction_type: PredictionType,
    on_step: Callable[[StepEvent], None] | None = None,
    should_cancel: Callable[[], bool] | None = None,
) -> Tensor:
    """Walk a sample's DDIM path backwards: the noise that leads to it.

    Args:
        model: The denoiser.
        clean: x_0, [B, C, H, W] float32.
        schedule: abar_t.
        timesteps: The plan that will be sampled with afterwards.
        prediction_type: What the model's output stands for.
        on_step: Called after each step.
        should_cancel: Asked before each step.

    Returns:
        x_t at the plan's first timestep, [B, C, H, W] float32.

    Raises:
        GenerationCancelled: `should_cancel` said so.

    Source: Song et al. 2021 (arXiv:2010.02502), eq. 14, Euler steps backwards in time: the
        prediction at the lower noise stands for that at the higher.
    """
    x, total = clean, len(timesteps)
    pairs = list(zip(timesteps.timesteps, timesteps.previous, strict=True))[::-1]
    for index, (t, below) in enumerate(pairs, start=1):
        if should_cancel is not None and should_cancel():
            raise GenerationCancelled(f"stopped before inversion step {index} of {total}")
        abar_below, abar = schedule.alpha_cumprod(below), schedule.alpha_cumprod(t)
        x0, eps = _split(model(x, max(below, 0)), x, abar_below, prediction_type)
        x = math.sqrt(abar) * x0 + math.sqrt(1 - abar) * eps
        if on_step is not None:
            on_step(StepEvent(index, total, x0))
    return x


def _split(
    prediction: Tensor, x: Tensor, abar: float, prediction_type: PredictionType
) -> tuple[Tensor, Tensor]:
    """x_0 and the noise; at no noise x_0 is x whatever the model says."""
    signal, noise = math.sqrt(abar), math.sqrt(1 - abar)
    if prediction_type is PredictionType.EPSILON:
        return (x - noise * prediction) / signal, prediction
    if prediction_type is PredictionType.SAMPLE:
        return prediction, (x - signal * prediction) / max(noise, 1e-3)
    return signal * x - noise * prediction, signal * prediction + noise * x

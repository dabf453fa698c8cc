"""The diffusion model as a classifier: which class predicts the noise best, and where.

Source: Li et al. 2023, "Your Diffusion Model is Secretly a Zero-Shot Classifier"
(arXiv:2303.16203), eq. 6: the class with the lowest expected error, with the same noise for all
classes. v stands for the noise; both errors differ by a factor that all classes share.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.diffusion import NoiseSchedule, StepEvent
from nvfp4_ddim_optimizer.errors import GenerationCancelled

__all__ = ["ClassErrors", "class_errors", "noise_levels", "view", "view_back"]

VIEWS = 8


@dataclass(frozen=True)
class ClassErrors:
    """Squared error of v for each class, relative to the mean over the classes.

    Attributes:
        means: [K] float32, over levels and places: about 1, lower is likelier.
        maps: [K, h, w] float32, of each place, over the levels of little noise. At much noise a
            class changes the prediction of the whole leaf, not only of the spots.
    """

    means: Tensor
    maps: Tensor


def noise_levels(first: int, last: int, count: int) -> tuple[int, ...]:
    """`count` timesteps spread evenly over [first, last], highest first; one lies in the middle."""
    step = (last - first) / count
    return tuple(round(last - (k + 0.5) * step) for k in range(count))


def view(latents: Tensor, number: int) -> Tensor:
    """One of the eight turned and mirrored versions of [..., h, w] with h = w."""
    turned = torch.rot90(latents, number % 4, dims=(-2, -1))
    return turned.flip(-1) if number % VIEWS >= 4 else turned


def view_back(latents: Tensor, number: int) -> Tensor:
    """Undo `view`."""
    straight = latents.flip(-1) if number % VIEWS >= 4 else latents
    return torch.rot90(straight, -(number % 4), dims=(-2, -1))


@torch.no_grad()
def class_errors(
    unet: Any,
    latents: Sequence[Tensor],
    schedule: NoiseSchedule,
    timesteps: Sequence[int],
    *,
    num_classes: int,
    generator: torch.Generator,
    local_until: int,
    levels_at_once: int = 4,
    on_step: Callable[[StepEvent], None] | None = None,
    should_cancel: Callable[[], bool] | None = None,
) -> ClassErrors:
    """Compare the classes' predictions at several noise levels.

    Args:
        unet: Class-conditional v-prediction UNet.
        latents: The eight views of one photo's latents, each [C, h, w]; levels take turns.
        schedule: abar_t of its training.
        timesteps: The levels.
        num_classes: K.
        generator: Of the noise, which all classes of a level share; on the CPU.
        local_until: Levels up to this one make the maps; at least one must.
        levels_at_once: Levels in one batch: larger ones take less time and more memory.
        on_step: Called after each level.
        should_cancel: Asked before each batch.

    Raises:
        GenerationCancelled: `should_cancel` said so.
    """
    device = latents[0].device
    labels = torch.arange(num_classes, device=device)
    means = torch.zeros(num_classes, device=device)
    maps = torch.zeros(num_classes, *latents[0].shape[-2:], device=device)
    local = sum(t <= local_until for t in timesteps)
    for first in range(0, len(timesteps), levels_at_once):
        if should_cancel is not None and should_cancel():
            raise GenerationCancelled(f"cancelled after {first} of {len(timesteps)} noise levels")
        steps = range(first, min(first + levels_at_once, len(timesteps)))
        inputs, targets = [], []
        for step in steps:
            clean = latents[step % len(latents)]
            abar = schedule.alpha_cumprod(timesteps[step])
            noise = torch.randn(clean.shape, generator=generator).to(device)
            x = abar**0.5 * clean + (1 - abar) ** 0.5 * noise
            inputs.append(x.expand(num_classes, *x.shape))
            targets.append(abar**0.5 * noise - (1 - abar) ** 0.5 * clean)
        levels = torch.tensor([timesteps[s] for s in steps], device=device)
        predicted = unet(
            torch.cat(inputs),
            levels.repeat_interleave(num_classes),
            labels.repeat(len(steps)),
            return_dict=False,
        )[0]
        for step, v, ours in zip(steps, targets, predicted.chunk(len(steps)), strict=True):
            error = (ours - v).square().mean(dim=1)
            relative = error / error.mean()
            means += relative.mean(dim=(1, 2)) / len(timesteps)
            if timesteps[step] <= local_until:
                maps += view_back(relative, step % len(latents)) / local
            if on_step is not None:
                on_step(StepEvent(step + 1, len(timesteps)))
    return ClassErrors(means.cpu(), maps.cpu())

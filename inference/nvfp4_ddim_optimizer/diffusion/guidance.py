"""Classifier-free guidance: one prediction from a conditional and an unconditional one."""

from collections.abc import Callable
from enum import StrEnum

from torch import Tensor

from .ddim import Model
from .timesteps import TimestepPlan

__all__ = [
    "Branch",
    "BranchModel",
    "classifier_free_guidance",
    "guided_timesteps",
    "needs_unconditional",
]


class Branch(StrEnum):
    """What a prediction follows."""

    UNCONDITIONAL = "unconditional"
    CONDITIONAL = "conditional"


BranchModel = Callable[[Tensor, int, tuple[Branch, ...]], tuple[Tensor, ...]]
"""(x_t [B, C, H, W], t, branches) -> one prediction [B, C, H, W] for each branch.

Whether it computes them in one batch or one after the other is its own affair.
"""


def needs_unconditional(guidance_scale: float) -> bool:
    """Whether guidance mixes two predictions.

    At 1 the mixture is the conditional prediction; 0 is what users write to switch guidance off
    (distilled models ask for it). Both need one pass of the model instead of two.
    """
    return guidance_scale not in (0.0, 1.0)


def guided_timesteps(
    timesteps: TimestepPlan, guidance_scale: float, interval: tuple[float, float] = (0.0, 1.0)
) -> frozenset[int]:
    """At which timesteps guidance acts.

    Args:
        timesteps: The steps of the run.
        guidance_scale: s; 0 and 1 switch guidance off.
        interval: (start, stop), fractions of the steps in [0, 1]; guidance acts from step
            int(start * steps) on, counted from 0, and ends before step int(stop * steps).

    Source: Kynkäänniemi et al. 2024, "Applying Guidance in a Limited Interval Improves Sample and
        Distribution Quality in Diffusion Models" (arXiv:2404.07724), sec. 3; counted in steps as
        diffusers' guiders do.
    """
    if not needs_unconditional(guidance_scale):
        return frozenset()
    start, stop = (int(fraction * len(timesteps)) for fraction in interval)
    return frozenset(timesteps.timesteps[start:stop])


def classifier_free_guidance(
    model: BranchModel,
    guidance_scale: float,
    guidance_rescale: float = 0.0,
    *,
    guided_at: frozenset[int] | None = None,
) -> Model:
    """Make a model of (x, t) from a model that knows what follows the prompt and what does not.

    eps = eps_uncond + s (eps_cond - eps_uncond)

    Args:
        model: Predicts either branch; asked for the unconditional one only where it is needed.
        guidance_scale: s.
        guidance_rescale: phi: how much of the guided prediction's standard deviation is brought
            back to the conditional one's. Lin et al. use 0.7 with zero terminal SNR.
        guided_at: The timesteps at which guidance acts, of `guided_timesteps`. None: at all,
            unless `needs_unconditional` says no.

    Source: Ho & Salimans 2022 (arXiv:2207.12598), eq. 6, with s = 1 + w; Lin et al. 2024
        (arXiv:2305.08891), eq. 14-16, for the rescaling.
    """
    is_on = needs_unconditional(guidance_scale)

    def guided(x: Tensor, t: int) -> Tensor:
        if not is_on or (guided_at is not None and t not in guided_at):
            return model(x, t, (Branch.CONDITIONAL,))[0]
        uncond, cond = model(x, t, (Branch.UNCONDITIONAL, Branch.CONDITIONAL))
        mixed = uncond + guidance_scale * (cond - uncond)
        if guidance_rescale == 0:
            return mixed
        dims = tuple(range(1, mixed.ndim))
        ratio = cond.std(dim=dims, keepdim=True) / mixed.std(dim=dims, keepdim=True)
        return guidance_rescale * ratio * mixed + (1 - guidance_rescale) * mixed

    return guided

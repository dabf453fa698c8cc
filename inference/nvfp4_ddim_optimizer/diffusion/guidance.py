"""Classifier-free guidance: one prediction from a conditional and an unconditional one."""

from collections.abc import Callable

import torch
from torch import Tensor

from .ddim import Model

__all__ = [
    "ConditionalModel",
    "classifier_free_guidance",
    "needs_unconditional",
]

ConditionalModel = Callable[[Tensor, int, Tensor], Tensor]
"""(x_t [B, C, H, W], t, condition [B, ...]) -> prediction [B, C, H, W]."""


def needs_unconditional(guidance_scale: float) -> bool:
    """Whether guidance mixes two predictions.

    At 1 the mixture is the conditional prediction; 0 is what users write to switch guidance off
    (distilled models ask for it). Both need one pass of the model instead of two.
    """
    return guidance_scale not in (0.0, 1.0)


def classifier_free_guidance(
    model: ConditionalModel,
    condition: Tensor,
    unconditional: Tensor | None,
    guidance_scale: float,
    guidance_rescale: float = 0.0,
) -> Model:
    """Make a model of (x, t) from a model of (x, t, condition).

    eps = eps_uncond + s (eps_cond - eps_uncond), both predicted in one call of batch 2B.

    Args:
        model: The conditional model.
        condition: [B, ...], such as prompt embeddings [B, L, D].
        unconditional: Same shape, of the negative prompt; not needed where
            `needs_unconditional` says so.
        guidance_scale: s.
        guidance_rescale: phi: how much of the guided prediction's standard deviation is brought
            back to the conditional one's. Lin et al. use 0.7 with zero terminal SNR.

    Source: Ho & Salimans 2022 (arXiv:2207.12598), eq. 6, with s = 1 + w; Lin et al. 2024
        (arXiv:2305.08891), eq. 14-16, for the rescaling.
    """
    if unconditional is None or not needs_unconditional(guidance_scale):
        return lambda x, t: model(x, t, condition)
    both = torch.cat([unconditional, condition])

    def guided(x: Tensor, t: int) -> Tensor:
        uncond, cond = model(torch.cat([x, x]), t, both).chunk(2)
        mixed = uncond + guidance_scale * (cond - uncond)
        if guidance_rescale == 0:
            return mixed
        dims = tuple(range(1, mixed.ndim))
        ratio = cond.std(dim=dims, keepdim=True) / mixed.std(dim=dims, keepdim=True)
        return guidance_rescale * ratio * mixed + (1 - guidance_rescale) * mixed

    return guided

"""Interpolation between two pictures with any text-to-image model: no training for it is needed.

Both pictures are encoded, their latents walked backwards along DDIM to a noisy state, and points on
the great circle between the two noisy latents are sampled.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nvfp4_ddim_optimizer.denoiser import Denoiser
from nvfp4_ddim_optimizer.diffusion import (
    Branch,
    BranchModel,
    StepEvent,
    TimestepPlan,
    classifier_free_guidance,
    sample_ddim,
)
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.tasks.components import TextToImageModel
from nvfp4_ddim_optimizer.tasks.images import decode_latents, to_images
from nvfp4_ddim_optimizer.tasks.text import TextConditioner

from .slerp import invert_ddim, slerp

__all__ = ["encode_pictures", "interpolate_pictures"]


@torch.inference_mode()
def interpolate_pictures(
    model: TextToImageModel,
    conditioner: TextConditioner,
    start: Image.Image,
    end: Image.Image,
    fractions: Sequence[float],
    *,
    num_inference_steps: int = 20,
    depth: float = 0.6,
    prompt: str = "",
    on_step: Callable[[StepEvent], None] | None = None,
    should_cancel: Callable[[], bool] | None = None,
) -> list[Image.Image]:
    """Frames between two pictures.

    Args:
        model: A latent diffusion model.
        conditioner: Its text encoder.
        start: First picture; brought to the model's size, on white where it is transparent.
        end: Last picture.
        fractions: Where the frames lie; at 0 and 1 the pictures themselves come back.
        num_inference_steps: DDIM steps from pure noise; of them, the share `depth` is taken,
            once backwards for both pictures and once forwards for each frame.
        depth: How far into the noise the frames are mixed, in (0, 1]: more is more inventive.
        prompt: What both pictures show.
        on_step: Called after each step of each part of the work.
        should_cancel: Asked before each step.

    Raises:
        InvalidInputError: A number is out of range.
        GenerationCancelled: `should_cancel` said so.
    """
    if not 0 < depth <= 1 or not all(0 <= f <= 1 for f in fractions):
        raise InvalidInputError("depth must lie in (0, 1] and fractions in [0, 1]")
    plan = _shallow(model.diffusion.uniform_timesteps(num_inference_steps), depth)
    height, width = model.native_size
    ends = [_fit(picture, width, height) for picture in (start, end)]
    text = conditioner.encode([prompt])
    schedule, kind = model.diffusion.schedule(), model.diffusion.prediction_type
    between = [f for f in fractions if 0 < f < 1]
    total = len(plan) * (1 + bool(between))

    def reported(offset: int) -> Callable[[StepEvent], None] | None:
        if on_step is None:
            return None
        return lambda event: on_step(StepEvent(offset + event.step, total, event.x0))

    noisy = invert_ddim(
        _denoise(model, text.expand(2, -1, -1)),
        encode_pictures(model, ends),
        schedule,
        plan,
        prediction_type=kind,
        on_step=reported(0),
        should_cancel=should_cancel,
    )
    painted: list[Image.Image] = []
    if between:
        latents = sample_ddim(
            _denoise(model, text.expand(len(between), -1, -1)),
            torch.stack([slerp(noisy[0], noisy[1], f) for f in between]),
            schedule,
            plan,
            prediction_type=kind,
            constrain_x0=model.diffusion.x0_constraint(),
            on_step=reported(len(plan)),
            should_cancel=should_cancel,
        )
        painted = to_images(decode_latents(model, latents))
    found = iter(painted)
    return [next(found) if 0 < f < 1 else ends[round(f)].copy() for f in fractions]


def encode_pictures(model: TextToImageModel, pictures: Sequence[Image.Image]) -> Tensor:
    """Latents [B, C, H, W] float32 of RGB pictures of the model's size; inverse of decoding."""
    arrays = np.stack([np.asarray(picture, dtype=np.float32) for picture in pictures])
    pixels = torch.from_numpy(arrays).permute(0, 3, 1, 2).to(model.device) / 127.5 - 1
    encoded: Any = model.vae.encode(pixels.to(model.compute_dtype))
    found = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
    latents: Tensor = found.float()
    config = model.vae.config
    mean, std = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is not None and std is not None:
        mean, std = (torch.tensor(v).view(1, -1, 1, 1).to(latents) for v in (mean, std))
        return torch.mul((latents - mean) / std, config.scaling_factor)
    shift = getattr(config, "shift_factor", None) or 0.0
    return torch.mul(latents - shift, config.scaling_factor)


def _denoise(model: TextToImageModel, text: Tensor) -> Callable[[Tensor, int], Tensor]:
    branches: BranchModel = Denoiser(
        model.unet, {Branch.CONDITIONAL: text}, compute_dtype=model.compute_dtype, batched=True
    )
    return classifier_free_guidance(branches, 1.0)


def _shallow(plan: TimestepPlan, depth: float) -> TimestepPlan:
    """The last steps of a plan; pure noise, which holds nothing of a picture, is never visited."""
    count = max(1, min(round(depth * len(plan)), len(plan) - 1))
    return TimestepPlan(plan.timesteps[-count:], plan.previous[-count:])


def _fit(picture: Image.Image, width: int, height: int) -> Image.Image:
    rgba = picture.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    flat = Image.alpha_composite(white, rgba).convert("RGB")
    if flat.size == (width, height):
        return flat
    return flat.resize((width, height), Image.Resampling.LANCZOS)

"""Latents to pictures."""

import torch
from PIL import Image
from torch import Tensor

from .components import TextToImageModel
from .stripes import decode_in_stripes

__all__ = ["decode_latents", "to_images"]


def decode_latents(model: TextToImageModel, latents: Tensor) -> Tensor:
    """Run the autoencoder's decoder.

    Args:
        model: The model; where it says so, it decodes in stripes.
        latents: [B, C, H, W] float32, as the sampler leaves them.

    Returns:
        [B, 3, f H, f W] float32, in [-1, 1] but for overshoot.

    Source: Rombach et al. 2022, app. G, for the scaling factor; diffusers for the rest.
    """
    config = model.vae.config
    mean, std = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is not None and std is not None:
        latents = latents * _per_channel(std, latents) / config.scaling_factor
        latents = latents + _per_channel(mean, latents)
    else:
        latents = latents / config.scaling_factor + (getattr(config, "shift_factor", None) or 0.0)
    latents = latents.to(model.compute_dtype)
    if model.decode_stripes:
        return decode_in_stripes(model.vae, latents).float()
    decoded: Tensor = model.vae.decode(latents, return_dict=False)[0]
    return decoded.float()


def to_images(pixels: Tensor) -> list[Image.Image]:
    """Round to 8 bits.

    Args:
        pixels: [B, 3, H, W] float32 in [-1, 1]; what lies outside is clipped.

    Returns:
        B RGB pictures.
    """
    levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    arrays = levels.permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(array) for array in arrays]


def _per_channel(values: list[float], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device, dtype=like.dtype).view(1, -1, 1, 1)

"""One pass of the UNet's encoder as a feature extractor."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["encoder_features"]


def encoder_features(unet: Any, latents: Tensor, timestep: Tensor, labels: Tensor) -> Tensor:
    """Pooled states of the deepest block: mean and largest value of each channel.

    The decoder is not run: it is two thirds of the work.

    Args:
        unet: `diffusers.UNet2DModel` with class embeddings.
        latents: [B, C, h, w] float32.
        timestep: [B] int64.
        labels: [B] int64.

    Returns:
        [B, 2 D] float32.
    """
    embedding = unet.time_embedding(unet.time_proj(timestep).to(latents.dtype))
    embedding = embedding + unet.class_embedding(labels).to(latents.dtype)
    states = unet.conv_in(latents)
    for block in unet.down_blocks:
        states, _ = block(hidden_states=states, temb=embedding)
    states = torch.nn.functional.silu(unet.mid_block(states, embedding))
    return torch.cat([states.mean(dim=(2, 3)), states.amax(dim=(2, 3))], dim=1)

"""One pass of the UNet's encoder as a feature extractor, and what is read from its features."""

from typing import Any

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.networks import Tables

__all__ = ["class_distance", "encoder_features", "head_logits", "pooled_states"]


@torch.no_grad()
def encoder_features(unet: Any, latents: Tensor, timestep: int, label: int) -> Tensor:
    """Pooled states of the deepest block: mean and largest value of each channel.

    The decoder is not run: it is two thirds of the work. Gradients are not kept.

    Args:
        unet: `diffusers.UNet2DModel` with class embeddings.
        latents: [B, C, h, w] float32.
        timestep: Noise level that the UNet is told.
        label: Class that it is told.

    Returns:
        [B, 2 D] float32.
    """
    count = len(latents)
    timesteps = torch.full((count,), timestep, device=latents.device)
    return pooled_states(unet, latents, timesteps, torch.full_like(timesteps, label))


def pooled_states(unet: Any, latents: Tensor, timesteps: Tensor, labels: Tensor) -> Tensor:
    """`encoder_features` with levels [B] and labels [B] for each item, and with gradients."""
    embedding = unet.time_embedding(unet.time_proj(timesteps).to(latents.dtype))
    embedding = embedding + unet.class_embedding(labels).to(latents.dtype)
    states = unet.conv_in(latents)
    for block in unet.down_blocks:
        states, _ = block(hidden_states=states, temb=embedding)
    states = torch.nn.functional.silu(unet.mid_block(states, embedding))
    return torch.cat([states.mean(dim=(2, 3)), states.amax(dim=(2, 3))], dim=1)


def head_logits(tables: Tables, features: Tensor) -> Tensor:
    """The linear head: [B, K] of features [B, F]."""
    return features @ tables["head_weight"].T + tables["head_bias"]


def class_distance(tables: Tables, features: Tensor) -> Tensor:
    """Mahalanobis distance to the nearest class, with one covariance for all classes: [B].

    Source: Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples
        and Adversarial Attacks" (arXiv:1807.03888), eq. 2.
    """
    whitened = (features - tables["feature_mean"]) @ tables["whitening"]
    offsets = whitened[:, None, :] - tables["class_means"][None]
    distance: Tensor = offsets.square().mean(dim=2).amin(dim=1).sqrt()
    return distance

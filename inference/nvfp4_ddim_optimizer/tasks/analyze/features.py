"""One pass of the UNet's encoder as a feature extractor, and what is read from its features."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.networks import Tables

__all__ = ["Encoded", "encode", "head_logits", "pooled_states", "style_distance"]


@dataclass(frozen=True)
class Encoded:
    """What one pass gives.

    Attributes:
        features: Of the deepest block: mean and largest value of each channel, [B, 2 D].
        style: Of the first block, at the latents' own resolution: mean, largest value and
            deviation of each channel; and the logarithm of the latents' deviation. [B, S].
    """

    features: Tensor
    style: Tensor


@torch.no_grad()
def encode(unet: Any, latents: Tensor, timestep: int, label: int) -> Encoded:
    """Run the encoder, without gradients. The decoder, two thirds of the work, is not run.

    Args:
        unet: `diffusers.UNet2DModel` with class embeddings.
        latents: [B, C, h, w] float32.
        timestep: Noise level that the UNet is told.
        label: Class that it is told.
    """
    timesteps = torch.full((len(latents),), timestep, device=latents.device)
    deepest, first = _states(unet, latents, timesteps, torch.full_like(timesteps, label))
    first = torch.nn.functional.silu(first)
    style = [first.mean(dim=(2, 3)), first.amax(dim=(2, 3)), first.std(dim=(2, 3))]
    # A picture without any texture has a finite logarithm, too.
    style.append(latents.std(dim=(2, 3)).clamp_min(1e-6).log())
    return Encoded(_pool(deepest), torch.cat(style, dim=1))


def pooled_states(unet: Any, latents: Tensor, timesteps: Tensor, labels: Tensor) -> Tensor:
    """The features with levels [B] and labels [B] for each item, and with gradients."""
    return _pool(_states(unet, latents, timesteps, labels)[0])


def _states(unet: Any, latents: Tensor, timesteps: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """States after the deepest block and after the first residual block, before activation."""
    embedding = unet.time_embedding(unet.time_proj(timesteps).to(latents.dtype))
    embedding = embedding + unet.class_embedding(labels).to(latents.dtype)
    states = unet.conv_in(latents)
    residuals: list[Tensor] = []
    for block in unet.down_blocks:
        states, of_block = block(hidden_states=states, temb=embedding)
        residuals += of_block
    return unet.mid_block(states, embedding), residuals[0]


def _pool(states: Tensor) -> Tensor:
    active = torch.nn.functional.silu(states)
    return torch.cat([active.mean(dim=(2, 3)), active.amax(dim=(2, 3))], dim=1)


def head_logits(tables: Tables, features: Tensor) -> Tensor:
    """The linear head: [B, K] of features [B, F]."""
    return features @ tables["head_weight"].T + tables["head_bias"]


def style_distance(tables: Tables, style: Tensor) -> Tensor:
    """Mahalanobis distance to the training leaves' style, over the square root of S: [B].

    Early layers tell foreign pictures better than the deepest one, which keeps only what tells the
    classes apart.

    Source: Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples
        and Adversarial Attacks" (arXiv:1807.03888), sec. 2.2 on features of several layers; here
        with one Gaussian for all classes.
    """
    whitened = (style - tables["style_mean"]) @ tables["style_whitening"]
    distance: Tensor = whitened.square().mean(dim=1).sqrt()
    return distance

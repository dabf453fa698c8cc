"""The patch transform, the class-conditional UNet and its noise schedule."""

import torch
from diffusers import UNet2DModel
from torch import Tensor

from nvfp4_ddim_optimizer.networks import PatchTransform
from training.networks import build_scheduler

__all__ = [
    "LATENT_CHANNELS",
    "NULL_CLASS",
    "PATCH",
    "build_scheduler",
    "build_unet",
    "fit_transform",
]

PATCH, LATENT_CHANNELS = 8, 32
NULL_CLASS = 3
# Latents are divided by this power of their deviation: 1 would make the finest detail, which is
# mostly the camera's noise, as large as the leaf's shape; 0 would bury it.
_WHITENING = 0.6


def build_unet() -> UNet2DModel:
    """UNet over 16x16, 8x8 and 4x4 latents; classes healthy, early blight, late blight, any."""
    return UNet2DModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(32, 64, 128),
        down_block_types=("DownBlock2D",) * 3,
        up_block_types=("UpBlock2D",) * 3,
        layers_per_block=1,
        attention_head_dim=32,
        norm_num_groups=16,
        num_class_embeds=NULL_CLASS + 1,
    )


@torch.no_grad()
def fit_transform(images: Tensor) -> PatchTransform:
    """Principal components of all 8x8 patches of images [N, 3, H, W] float32 in [-1, 1]."""
    patches = torch.nn.functional.unfold(images, PATCH, stride=PATCH).transpose(1, 2).flatten(0, 1)
    mean = patches.mean(dim=0)
    centred = (patches - mean).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    deviation = values.flip(0)[:LATENT_CHANNELS].clamp_min(1e-12).sqrt().float()
    scale = deviation**_WHITENING
    # The mean variance over channels is 1.
    scale *= (deviation / scale).square().mean().sqrt()
    transform = PatchTransform(PATCH, LATENT_CHANNELS)
    transform.basis.copy_(vectors.flip(1).T[:LATENT_CHANNELS].float())
    transform.scale.copy_(scale)
    transform.mean.copy_(mean)
    return transform.requires_grad_(False).eval()

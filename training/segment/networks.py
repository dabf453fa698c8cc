"""The networks of `nuclei-128`, the supervised U-Net beside it, and the noise schedule."""

from diffusers import UNet2DModel

from nvfp4_ddim_optimizer.networks.image_encoder import ImageEncoder
from nvfp4_ddim_optimizer.networks.mask_autoencoder import MaskAutoencoder
from training.networks import build_scheduler

__all__ = [
    "CONDITION_CHANNELS",
    "LATENT_CHANNELS",
    "build_denoiser",
    "build_image_encoder",
    "build_mask_autoencoder",
    "build_scheduler",
    "build_supervised",
    "parameter_count",
]

LATENT_CHANNELS = 8
CONDITION_CHANNELS = 24
LATENT_SIZE = 32


def build_mask_autoencoder() -> MaskAutoencoder:
    """Masks 128x128 to latents 32x32x8."""
    return MaskAutoencoder(latent_channels=LATENT_CHANNELS, factor=4, width=32, depth=1)


def build_image_encoder() -> ImageEncoder:
    """Images 128x128x3 to latents 32x32x24."""
    return ImageEncoder(in_channels=4, out_channels=CONDITION_CHANNELS, widths=(16, 32, 64, 96))


def build_denoiser() -> UNet2DModel:
    """v from the noisy latent of the mask and, as further channels, the latent of the image."""
    return UNet2DModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS + CONDITION_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(24, 48),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        add_attention=False,
    )


def build_supervised() -> ImageEncoder:
    """A U-Net from the image straight to logits of 4x4 pixels: 16 channels at 32x32."""
    return ImageEncoder(in_channels=4, out_channels=16, widths=(16, 40, 80, 120))


def parameter_count(*modules: object) -> int:
    """Parameters of some modules together."""
    return sum(p.numel() for module in modules for p in module.parameters())  # type: ignore[attr-defined]

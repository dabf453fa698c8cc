"""An autoencoder of binary masks that works on unshuffled pixels.

Every block of `factor` x `factor` mask pixels becomes one position of the latent; no convolution
runs at the mask's own resolution, so encoding and decoding cost little.
"""

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from .residual import ResidualBlock

__all__ = ["MaskAutoencoder"]


class MaskAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Masks [B, 1, H, W] to latents [B, latent_channels, H/factor, W/factor] and back to logits."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self, *, latent_channels: int = 8, factor: int = 4, width: int = 32, depth: int = 1
    ) -> None:
        """Build it with random weights.

        Args:
            latent_channels: Channels of the latent; training leaves each with mean 0 and variance 1
                over its masks.
            factor: Side of the block of pixels that one latent position stands for.
            width: Channels inside, a multiple of 8.
            depth: Residual blocks on each side.
        """
        super().__init__()
        pixels = factor * factor
        self.unshuffle = nn.PixelUnshuffle(factor)
        self.encoder = nn.Sequential(
            nn.Conv2d(pixels, width, 3, padding=1),
            *(ResidualBlock(width, width) for _ in range(depth)),
            nn.Conv2d(width, latent_channels, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latent_channels, width, 3, padding=1),
            *(ResidualBlock(width, width) for _ in range(depth)),
            nn.Conv2d(width, pixels, 1),
        )
        self.shuffle = nn.PixelShuffle(factor)

    def encode(self, mask: Tensor) -> Tensor:
        """Masks [B, 1, H, W] float32 in {0, 1} to latents; H and W divide by `factor`."""
        latent: Tensor = self.encoder(self.unshuffle(mask * 2 - 1))
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """Latents to logits [B, 1, H, W] float32 of a pixel's belonging to the mask."""
        logits: Tensor = self.shuffle(self.decoder(latent))
        return logits

    def forward(self, mask: Tensor) -> Tensor:
        """Encode and decode: masks [B, 1, H, W] to logits [B, 1, H, W]."""
        return self.decode(self.encode(mask))

"""A U-shaped encoder of images that ends at the resolution of a latent.

It looks at the image at 1/2, 1/4, 1/8 and 1/16 of its size and comes back to 1/4 only: fine detail
reaches the output as channels (the stem unshuffles pixels), and no convolution runs at full
resolution.
"""

import itertools

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from .residual import ResidualBlock

__all__ = ["ImageEncoder"]


class ImageEncoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Images [B, in_channels, H, W] to latents [B, out_channels, H/4, W/4]."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 16,
        widths: tuple[int, ...] = (16, 32, 64, 96),
    ) -> None:
        """Build it with random weights.

        Args:
            in_channels: Channels of the image.
            out_channels: Channels of the latent.
            widths: Channels at 1/2, 1/4, 1/8, 1/16, … of the image's size: at least two, multiples
                of 8. H and W must divide by 2 to the power of their number.
        """
        super().__init__()
        widths = tuple(widths)
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(2), nn.Conv2d(in_channels * 4, widths[0], 3, padding=1)
        )
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in itertools.pairwise(widths)
        )
        self.blocks = nn.ModuleList(ResidualBlock(w, w) for w in widths)
        self.middle = ResidualBlock(widths[-1], widths[-1])
        backward = tuple(reversed(widths[1:]))
        self.up = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in itertools.pairwise(backward))
        self.merge = nn.ModuleList(ResidualBlock(2 * b, b) for b in backward[1:])
        self.norm = nn.GroupNorm(widths[1] // 8, widths[1])
        self.head = nn.Conv2d(widths[1], out_channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Encode images [B, in_channels, H, W] float32 in [-1, 1]."""
        h = self.blocks[0](self.stem(image))
        skips = []
        for down, block in zip(self.down, self.blocks[1:], strict=True):
            h = block(down(h))
            skips.append(h)
        h = self.middle(skips.pop())
        for up, merge in zip(self.up, self.merge, strict=True):
            h = nn.functional.interpolate(up(h), scale_factor=2.0, mode="nearest")
            h = merge(torch.cat([h, skips.pop()], dim=1))
        out: Tensor = self.head(nn.functional.silu(self.norm(h)))
        return out

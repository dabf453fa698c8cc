"""The codec's two transforms: a picture to a 16 times smaller latent, and back.

Each is a linear transform of 16x16 blocks (trained from principal components) plus a small
residual network, whose stem unshuffles pixels, so that no convolution runs at full resolution.
"""

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["BLOCK", "CodecAnalysis", "CodecHyperAnalysis", "CodecSynthesis"]

BLOCK = 16
"""Pixels of a latent's position along each axis."""


class _Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))), 3x3."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.conv2(functional.relu(self.conv1(functional.relu(x))))
        return x + h


def _plane(log_step: Tensor, like: Tensor) -> Tensor:
    """log_step [B] as a plane [B, 1, H, W] of the other tensor's size."""
    return log_step.view(-1, 1, 1, 1).to(like.dtype).expand(-1, 1, *like.shape[2:])


class CodecAnalysis(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers is untyped
    """Picture to latent, in units of the quantiser's step.

    Args:
        latent_channels: Channels of the latent.
        fine_width: Channels at an eighth of the picture's resolution.
        coarse_width: Channels at the latent's resolution.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self, latent_channels: int = 96, fine_width: int = 64, coarse_width: int = 128
    ) -> None:
        super().__init__()
        self.linear = nn.Conv2d(3, latent_channels, BLOCK, stride=BLOCK, bias=False)
        self.stem = nn.Conv2d(3 * 64, fine_width, 1)
        self.fine = _Residual(fine_width)
        self.down = nn.Conv2d(4 * fine_width + 1, coarse_width, 1)
        self.coarse = _Residual(coarse_width)
        self.out = nn.Conv2d(coarse_width, latent_channels, 3, padding=1)

    def forward(self, x: Tensor, log_step: Tensor) -> Tensor:
        """Transform pictures.

        Args:
            x: [B, 3, H, W] float32 in [-0.5, 0.5]; H and W are multiples of 16.
            log_step: [B] float32, natural logarithm of the step in the picture's units.

        Returns:
            [B, C, H/16, W/16] float32, to be rounded to whole numbers.
        """
        h = self.fine(self.stem(4 * functional.pixel_unshuffle(x, 8)))
        h = functional.pixel_unshuffle(h, 2)
        h = self.coarse(self.down(torch.cat([h, _plane(log_step, h)], dim=1)))
        y = self.linear(x) + self.out(functional.relu(h))
        return y / log_step.exp().view(-1, 1, 1, 1)  # type: ignore[no-any-return]


class CodecSynthesis(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers is untyped
    """Latent, in units of the quantiser's step, to picture.

    Args:
        latent_channels: Channels of the latent.
        fine_width: Channels at an eighth of the picture's resolution.
        coarse_width: Channels at the latent's resolution.
        coarse_blocks: Residual blocks at the latent's resolution.
        fine_blocks: Residual blocks at an eighth of the picture's resolution.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        latent_channels: int = 96,
        fine_width: int = 64,
        coarse_width: int = 128,
        coarse_blocks: int = 2,
        fine_blocks: int = 2,
    ) -> None:
        super().__init__()
        self.linear = nn.Conv2d(latent_channels, 3 * BLOCK**2, 1, bias=False)
        self.stem = nn.Conv2d(latent_channels + 1, coarse_width, 3, padding=1)
        self.coarse = nn.Sequential(*[_Residual(coarse_width) for _ in range(coarse_blocks)])
        self.up = nn.Conv2d(coarse_width, 4 * fine_width, 1)
        self.look = nn.Conv2d(3 * 64, fine_width, 1)
        self.fine = nn.Sequential(*[_Residual(fine_width) for _ in range(fine_blocks)])
        self.out = nn.Conv2d(fine_width, 3 * 64, 3, padding=1)

    def forward(self, y: Tensor, log_step: Tensor) -> Tensor:
        """Transform quantised latents.

        Args:
            y: [B, C, h, w] float32.
            log_step: [B] float32, natural logarithm of the step in the picture's units.

        Returns:
            [B, 3, 16 h, 16 w] float32, about [-0.5, 0.5].
        """
        step = log_step.exp().view(-1, 1, 1, 1)
        linear = functional.pixel_shuffle(self.linear(y * step), BLOCK)
        h = self.coarse(self.stem(torch.cat([y, _plane(log_step, y)], dim=1)))
        h = functional.pixel_shuffle(self.up(functional.relu(h)), 2)
        h = self.fine(h + self.look(4 * functional.pixel_unshuffle(linear, 8)))
        return linear + step * functional.pixel_shuffle(self.out(functional.relu(h)), 8)


class CodecHyperAnalysis(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers is untyped
    """Latent to a 4 times smaller hyper-latent.

    Args:
        latent_channels: Channels of the latent.
        hyper_channels: Channels of the hyper-latent.
        width: Channels in between.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, latent_channels: int = 96, hyper_channels: int = 8, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(latent_channels, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, hyper_channels, 3, stride=2, padding=1),
        )

    def forward(self, y: Tensor) -> Tensor:
        """[B, C, h, w] in steps to [B, Z, ⌈h/4⌉, ⌈w/4⌉], to be rounded to whole numbers."""
        return self.layers(y / 4)  # type: ignore[no-any-return]

"""A residual block of two 3x3 convolutions, as the small networks of the tasks use it."""

from torch import Tensor, nn

__all__ = ["ResidualBlock"]

_GROUP_CHANNELS = 8


class ResidualBlock(nn.Module):
    """Norm, SiLU, convolution, twice; a 1x1 convolution on the way past where widths differ."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """Args: in_channels, out_channels: widths, multiples of 8."""
        super().__init__()
        self.norm1 = nn.GroupNorm(in_channels // _GROUP_CHANNELS, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(out_channels // _GROUP_CHANNELS, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, H, W]."""
        h = self.conv1(nn.functional.silu(self.norm1(x)))
        h = self.conv2(nn.functional.silu(self.norm2(h)))
        out: Tensor = self.shortcut(x) + h
        return out

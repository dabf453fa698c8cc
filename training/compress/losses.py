"""Multi-scale structural similarity as a loss."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["luma", "ms_ssim"]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def luma(x: Tensor) -> Tensor:
    """[B, 3, H, W] RGB to [B, 1, H, W] by BT.601's weights."""
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=x.dtype).view(1, 3, 1, 1)
    return (x * weights).sum(dim=1, keepdim=True)


def ms_ssim(x: Tensor, y: Tensor, scales: int = 5) -> Tensor:
    """MS-SSIM of pictures [B, C, H, W] whose range has length 1, in windows of 8x8 pixels; [B].

    Source: Wang, Simoncelli and Bovik 2003, but with even weights inside a window: the Gaussian
    ones cost as much time as the whole codec.
    """
    weights = torch.tensor(WEIGHTS[:scales], dtype=x.dtype)
    weights = weights / weights.sum()
    c1, c2 = 0.01**2, 0.03**2
    x, y = x + 0.5, y + 0.5
    result = torch.ones(x.shape[0], dtype=x.dtype)
    for scale in range(scales):
        channels = x.shape[1]
        means = F.avg_pool2d(torch.cat([x, y, x * x, y * y, x * y], dim=1), 8, stride=2)
        mx, my, xx, yy, xy = means.split(channels, dim=1)
        contrast = (2 * (xy - mx * my) + c2) / (xx - mx * mx + yy - my * my + c2)
        term = contrast
        if scale == scales - 1:
            term = contrast * (2 * mx * my + c1) / (mx * mx + my * my + c1)
        result = result * term.mean(dim=(1, 2, 3)).clamp_min(1e-4) ** weights[scale]
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return result

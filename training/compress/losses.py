"""What a viewer sees of a codec's errors, as a loss."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["luma", "visible_distance"]

LUMA = (0.299, 0.587, 0.114)
CHROMA = ((-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""Cb and Cr of BT.601."""

WINDOW = 5
CONTRAST_FLOOR = 0.03**2
LUMA_SCALES = {2: 0.2, 4: 0.5, 8: 0.3}
CHROMA_SCALES = {8: 0.15, 16: 0.15}
"""Weight of the structure of pictures that are so many times smaller."""

COLOUR_WEIGHT = 2.0
COLOUR_BLOCK = 8

ARTEFACT_WEIGHT = 4.0
ARTEFACT_SCALES = (1, 2, 4)


def luma(x: Tensor) -> Tensor:
    """[B, 3, H, W] RGB to [B, 1, H, W] by BT.601's weights."""
    return F.conv2d(x, torch.tensor(LUMA, dtype=x.dtype).view(1, 3, 1, 1))


def _chroma(x: Tensor) -> Tensor:
    return F.conv2d(x, torch.tensor(CHROMA, dtype=x.dtype).view(2, 3, 1, 1))


def _structural_distance(x: Tensor, y: Tensor) -> Tensor:
    """1 - SSIM [B], with the luminance term of SSIMULACRA2: 1 - (difference of the means)^2.

    Source: Wang et al. 2004, in even windows of WINDOW pixels.
    """
    channels = x.shape[1]
    means = F.avg_pool2d(torch.cat([x, y, x * x, y * y, x * y], dim=1), WINDOW, stride=2)
    mx, my, xx, yy, xy = means.split(channels, dim=1)
    contrast = (2 * (xy - mx * my) + CONTRAST_FLOOR) / (
        xx - mx * mx + yy - my * my + CONTRAST_FLOOR
    )
    return (1 - (1 - (mx - my).square()) * contrast).mean(dim=(1, 2, 3))


def _shrunk(scale: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return F.avg_pool2d(x, scale), F.avg_pool2d(y, scale)


def _contrast(x: Tensor) -> Tensor:
    """Absolute difference to the surroundings' mean."""
    around = F.avg_pool2d(x, WINDOW, stride=1, padding=WINDOW // 2, count_include_pad=False)
    return (x - around).abs()


def visible_distance(x: Tensor, y: Tensor) -> Tensor:
    """Distance of pictures x from originals y, [B, 3, H, W] RGB of a range of length 1; [B].

    At low bit rates the coarse structure decides what viewers prefer: SSIM of luma counts from half
    the resolution down, that of chroma from an eighth down (as in SSIMULACRA2, where these are most
    of the score there). Besides, blocks of a wrong colour cost their mean absolute error, and
    edges and grain that the original has not cost their contrast.
    """
    shown, true = luma(x), luma(y)
    tint, true_tint = _chroma(x), _chroma(y)
    colour = F.avg_pool2d(tint - true_tint, COLOUR_BLOCK).abs().mean(dim=(1, 2, 3))
    distance = COLOUR_WEIGHT * colour
    for scale, weight in LUMA_SCALES.items():
        distance = distance + weight * _structural_distance(*_shrunk(scale, shown, true))
    for scale, weight in CHROMA_SCALES.items():
        distance = distance + weight * _structural_distance(*_shrunk(scale, tint, true_tint))
    for scale in ARTEFACT_SCALES:
        small, other = _shrunk(scale, shown, true)
        artefacts = F.relu(_contrast(small) - _contrast(other)).mean(dim=(1, 2, 3))
        distance = distance + ARTEFACT_WEIGHT * artefacts
    return distance

"""Smooth the borders of blocks where they are steps that the picture does not have.

At low rates, flat blocks of 16x16 pixels lie beside each other at slightly different levels. As in
the video codecs' filters, a step across a border is spread over the pixels on both sides, the more
so the smaller it is against the quantiser's step: a large one is an edge of the picture.
"""

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.networks.codec_transforms import BLOCK

__all__ = ["smooth_borders"]

_REACH = BLOCK // 2
EDGE = 0.06
"""A step of this share of the quantiser's step is an edge, and stays."""


def smooth_borders(picture: Tensor, step: float) -> Tensor:
    """Smooth vertical, then horizontal borders.

    Args:
        picture: [C, H, W] float32; H and W are multiples of 16.
        step: The quantiser's, in the picture's units.
    """
    across = _smooth_columns(picture, step)
    return _smooth_columns(across.transpose(1, 2), step).transpose(1, 2)


def _smooth_columns(picture: Tensor, step: float) -> Tensor:
    channels, height, width = picture.shape
    if width <= BLOCK:
        return picture
    blocks = picture.reshape(channels, height, -1, BLOCK)
    left, right = blocks[:, :, :-1], blocks[:, :, 1:]
    # What the step exceeds the slope on its two sides by.
    slope = (left[..., -1] - left[..., -2] + right[..., 1] - right[..., 0]) / 2
    jump = right[..., 0] - left[..., -1] - slope
    weight = (1 - jump.abs().amax(dim=0, keepdim=True) / (EDGE * step)).clamp(min=0)
    ramp = 1 - (torch.arange(_REACH, dtype=picture.dtype) + 0.5) / _REACH
    change = (weight * jump / 2)[..., None] * ramp
    smooth = blocks.clone()
    smooth[:, :, 1:, :_REACH] -= change
    smooth[:, :, :-1, -_REACH:] += change.flip(-1)
    return smooth.reshape(channels, height, width)

"""What the denoiser sees besides the noisy residual, and how both are laid out for it.

The residual is what the regression leaves over, in units of its standard deviation at the place.
Pixels are unshuffled by 2, so that no convolution runs at full resolution, and columns of the
other side are put beside the first and the last, so that a network without cyclic padding sees no
edge in longitude.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from .regression import TRAINED_SPAN_HOURS, Moment

__all__ = ["HALO", "UNSHUFFLE", "condition", "condition_channels", "error_growth", "fold", "unfold"]

UNSHUFFLE = 2
HALO = 8  # columns of the unshuffled field on each side


def error_growth(moment: Moment) -> float:
    """How large the regression's error is beside that in the middle of 12 hours.

    Zero at both ends; proportional to the span, as found for 12, 18 and 24 hours.
    """
    return moment.bridge * moment.interval.span_hours / TRAINED_SPAN_HOURS


def condition(moment: Moment, correction: Tensor, scale: Tensor, latitudes: Tensor) -> Tensor:
    """The channels that condition the denoiser.

    Args:
        moment: End states and time.
        correction: [H, W] kelvins, the regression's part of the conditional mean.
        scale: [H, W] kelvins, standard deviation of the regression's error in the middle of 12
            hours.
        latitudes: [H] float32 in degrees.

    Returns:
        [C, H, W] float32 of order 1.
    """
    sun = moment.solar_angle().expand_as(scale)
    growth = max(error_growth(moment), 1e-6)
    flat = torch.ones_like(scale)
    stretch = math.log2(moment.interval.span_hours / TRAINED_SPAN_HOURS)
    return torch.stack(
        [
            moment.start_anomaly / 8,
            moment.end_anomaly / 8,
            moment.diurnal / 8,
            (correction / (growth * scale)).clamp(-4, 4) / 2,
            scale.log(),
            torch.tanh(moment.climatology.amplitude() / 4),
            sun.cos(),
            sun.sin(),
            torch.sin(torch.deg2rad(latitudes))[:, None] * flat,
            moment.linear / 30,
            moment.fraction * flat,
            stretch * flat,
        ]
    )


def condition_channels() -> int:
    """C of `condition`."""
    return 12


def fold(field: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, 4 C, H / 2, W / 2 + 16]: unshuffled, with a cyclic halo."""
    return functional.pad(
        functional.pixel_unshuffle(field, UNSHUFFLE), (HALO, HALO, 0, 0), mode="circular"
    )


def unfold(folded: Tensor) -> Tensor:
    """[B, 4 C, H / 2, W / 2 + 16] -> [B, C, H, W]: the inverse of `fold`."""
    return functional.pixel_shuffle(folded[..., HALO:-HALO], UNSHUFFLE)

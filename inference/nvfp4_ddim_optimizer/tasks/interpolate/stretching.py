"""Stretching an ensemble's departures from its mean, scale by scale.

A denoiser that learned from few days is surer of itself than it may be, and less so at some scales
than at others. Gains by zonal wavenumber, fitted on a day that it was not trained on, correct that.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["gain_curve", "knots", "stretch"]


def knots(count: int) -> list[int]:
    """Wavenumbers that gains belong to: 1, 2, 4, …"""
    return [2**k for k in range(count)]


def gain_curve(gains: Sequence[float], wavenumbers: int) -> Tensor:
    """[wavenumbers] float32 from 0 on, linear in the logarithm of the wavenumber between knots."""
    position = torch.arange(wavenumbers).clamp_min(1).log2().clamp_max(len(gains) - 1)
    values = torch.tensor([*gains, gains[-1]], dtype=torch.float32)
    below = position.floor().long()
    return torch.lerp(values[below], values[below + 1], position - below)


def stretch(departures: Tensor, gains: Sequence[float]) -> Tensor:
    """Multiply every zonal wavenumber by its gain.

    Args:
        departures: [..., H, W] float32 on a global grid.
        gains: One for each of `knots`.
    """
    spectrum = torch.fft.rfft(departures, dim=-1)
    curve = gain_curve(gains, spectrum.shape[-1]).to(departures.device)
    stretched: Tensor = torch.fft.irfft(spectrum * curve, n=departures.shape[-1], dim=-1)
    return stretched

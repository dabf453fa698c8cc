"""Scores of interpolated fields: errors, ensembles, spectra. Pure functions of arrays."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["bands", "crps", "rmse", "zonal_spectrum"]

Array = NDArray[np.float64]


def rmse(errors: Array, weights: Array) -> float:
    """Root of the area mean of squared errors [..., H, W]; weights [H, W] of mean 1."""
    return float(np.sqrt((errors**2 * weights).mean()))


def crps(members: Array, truth: Array, weights: Array) -> float:
    """Area mean of the continuous ranked probability score; of one member the mean error.

    Args:
        members: [M, ..., H, W].
        truth: [..., H, W].
        weights: [H, W] of mean 1.

    Source: Ferro 2014, "Fair scores for ensemble forecasts", eq. 8: without the bias that a small
        ensemble has.
    """
    count = len(members)
    error = np.abs(members - truth).mean(axis=0)
    between = np.zeros_like(error)
    for one in range(count):
        for other in range(one):
            between += np.abs(members[one] - members[other])
    if count > 1:
        error = error - between / (count * (count - 1))
    return float((error * weights).mean())


def zonal_spectrum(fields: Array, weights: Array) -> Array:
    """Power by zonal wavenumber, [W / 2 + 1], averaged over leading axes and, by area, over rows.

    Args:
        fields: [..., H, W] on a global grid.
        weights: [H, W].
    """
    power = np.abs(np.fft.rfft(fields, axis=-1)) ** 2 / fields.shape[-1] ** 2
    power[..., 1:-1] *= 2
    rows = weights[:, 0] / weights[:, 0].sum()
    by_row = power.reshape(-1, *power.shape[-2:]).mean(axis=0)
    return np.asarray((by_row * rows[:, None]).sum(axis=0))


def bands(spectrum: Array) -> list[tuple[int, int, float]]:
    """Power in bands of half an octave: (first wavenumber, last, power); all but wavenumber 0."""
    edges = [1]
    while edges[-1] < len(spectrum):
        edges.append(max(edges[-1] + 1, round(edges[-1] * 2**0.5)))
    return [
        (low, min(high, len(spectrum)) - 1, float(spectrum[low:high].sum()))
        for low, high in pairwise(edges)
    ]

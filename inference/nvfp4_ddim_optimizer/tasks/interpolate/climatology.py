"""The mean diurnal cycle of every place, at any hour, from fields at evenly spaced hours."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["HOURS_PER_DAY", "Climatology"]

HOURS_PER_DAY = 24.0


@dataclass(frozen=True)
class Climatology:
    """Mean fields at N evenly spaced hours of the day, from 0 UTC.

    Attributes:
        fields: [N, H, W] float32, degrees Celsius.
    """

    fields: Tensor

    def at(self, hour: float) -> Tensor:
        """The mean field at an hour UTC, [H, W]: trigonometric interpolation over the day.

        It passes through the N fields. The highest of N = 4 harmonics, of 12 hours, has only its
        cosine determined by them.
        """
        count = len(self.fields)
        phases = 2 * math.pi * (hour / HOURS_PER_DAY - torch.arange(count) / count)
        # The Dirichlet kernel of an even number of samples, its last harmonic halved.
        kernel = torch.ones(count)
        for harmonic in range(1, (count + 1) // 2):
            kernel += 2 * torch.cos(harmonic * phases)
        if count % 2 == 0:
            kernel += torch.cos(count // 2 * phases)
        return torch.einsum("n,nhw->hw", (kernel / count).to(self.fields), self.fields)

    def amplitude(self) -> Tensor:
        """[H, W]: highest minus lowest of the mean fields; nearly 0 over open sea."""
        return self.fields.amax(0) - self.fields.amin(0)

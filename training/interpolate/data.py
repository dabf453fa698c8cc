"""The 28 six-hourly fields, which of them are held out, and what may be learned from which.

The last two days (fields 20 to 27) are held out: they enter no climatology, no scale, no
regression and no batch. Inside the first five days everything that is fitted is fitted by
leave-one-day-out, so that what the diffusion model learns from are errors of a regression that has
not seen their day.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nvfp4_ddim_optimizer.tasks.interpolate.climatology import Climatology
from nvfp4_ddim_optimizer.tasks.interpolate.grid import Grid, gaussian_grid
from nvfp4_ddim_optimizer.tasks.interpolate.regression import Interval, Moment

__all__ = [
    "EVALUATED",
    "FIELDS_PER_DAY",
    "TRAINING_DAYS",
    "VALIDATION_DAY",
    "Series",
    "Triple",
    "fields_of",
    "triples",
]

STEP_HOURS = 6
FIELDS_PER_DAY = 4
TRAINING_DAYS = range(5)
# Its errors choose the checkpoint; the UNet's batches leave it out.
VALIDATION_DAY = 4


@dataclass(frozen=True)
class Triple:
    """A field to predict and the two end states, by their indices in the series."""

    first: int
    target: int
    last: int

    @property
    def fraction(self) -> float:
        """f in (0, 1)."""
        return (self.target - self.first) / (self.last - self.first)

    @property
    def span_hours(self) -> float:
        """Time between the end states."""
        return float(STEP_HOURS * (self.last - self.first))

    def fields(self) -> range:
        """All fields of the interval."""
        return range(self.first, self.last + 1)


EVALUATED = tuple(Triple(m - 1, m, m + 1) for m in range(20, 27))
"""Held out: every field of the last two days that has both neighbours."""


@dataclass(frozen=True)
class Series:
    """Fields every six hours from 0 UTC.

    Attributes:
        fields: [N, H, W] float32, degrees Celsius.
        grid: Where they lie.
    """

    fields: Tensor
    grid: Grid

    @classmethod
    def load(cls, path: Path) -> "Series":
        """Read an npz with `tC` [N, H, W] in degrees Celsius on a Gaussian grid from 180 W."""
        with np.load(path, allow_pickle=False) as arrays:
            fields = torch.from_numpy(arrays["tC"].astype(np.float32))
        return cls(fields, gaussian_grid(fields.shape[1], fields.shape[2]))

    def climatology(self, allowed: Iterable[int], besides: Triple | None = None) -> Climatology:
        """The mean diurnal cycle, from complete triples of neighbours.

        Means of all fields of an hour would carry the weather's drift over a few days into the
        cycle; what a field has more than its two neighbours' mean does not. Those four curvatures
        fix the cycle up to its mean.

        Args:
            allowed: Indices of the fields that may be used.
            besides: Leave out what would give this triple's target away.
        """
        chosen = set(allowed)
        hidden = besides.target if besides is not None else -9
        curvatures = []
        for hour in range(FIELDS_PER_DAY):
            middles = [
                m
                for m in sorted(chosen)
                if m % FIELDS_PER_DAY == hour
                and {m - 1, m + 1} <= chosen
                and hidden not in (m - 1, m, m + 1)
            ]
            if not middles:
                raise ValueError(f"no complete triple of neighbours around {6 * hour} UTC is left")
            index = torch.tensor(middles)
            neighbours = self.fields[index - 1] + self.fields[index + 1]
            curvatures.append((self.fields[index] - 0.5 * neighbours).mean(0))
        excluded = set(besides.fields()) if besides is not None else set()
        mean = self.fields[sorted(chosen - excluded)].mean(0)
        return Climatology(mean + _cycle(curvatures))

    def moment(self, triple: Triple, climatology: Climatology) -> Moment:
        """What a model is given to predict the triple's target."""
        start_hour = float(STEP_HOURS * (triple.first % FIELDS_PER_DAY))
        interval = Interval(
            self.fields[triple.first], self.fields[triple.last], start_hour, triple.span_hours
        )
        longitudes = torch.from_numpy(self.grid.longitudes).float()
        return Moment(interval, triple.fraction, climatology, longitudes)


def fields_of(days: Iterable[int]) -> list[int]:
    """Indices of the fields of some days."""
    return [FIELDS_PER_DAY * day + k for day in days for k in range(FIELDS_PER_DAY)]


def triples(fields: Iterable[int], spans: Iterable[int] = (2, 3, 4)) -> list[Triple]:
    """Every triple inside a set of fields, of the given lengths in fields."""
    chosen = set(fields)
    found = [
        Triple(first, target, first + span)
        for span in spans
        for first in sorted(chosen)
        for target in range(first + 1, first + span)
    ]
    return [triple for triple in found if chosen.issuperset(triple.fields())]


def _cycle(curvatures: list[Tensor]) -> Tensor:
    """The cycle E [4, H, W] of mean 0 whose E_h - (E_{h-1} + E_{h+1}) / 2 fit c_h best."""
    c0, c1, c2, c3 = curvatures
    half_even = (c0 + c2 - c1 - c3) / 8  # E_0 + E_2 = -(E_1 + E_3)
    first, second = (c0 - c2) / 2, (c1 - c3) / 2
    return torch.stack(
        [half_even + first, -half_even + second, half_even - first, -half_even - second]
    )

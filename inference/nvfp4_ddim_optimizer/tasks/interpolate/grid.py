"""Rectilinear grids of the globe, and bilinear interpolation between them.

Longitude is cyclic: a grid may run from 0 to 360, from -180 to 180, begin anywhere and cover the
globe or a part of it. Latitudes may rise or fall.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["Grid", "gaussian_grid", "regrid"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grid:
    """Cell centres of a rectilinear grid.

    Attributes:
        latitudes: [H] float64 in degrees north, strictly rising or falling, in [-90, 90].
        longitudes: [W] float64 in degrees east, strictly rising once unwrapped, spanning less
            than 360 degrees.

    Raises:
        InvalidInputError: The coordinates are not such.
    """

    latitudes: Array
    longitudes: Array

    def __post_init__(self) -> None:
        latitudes = np.asarray(self.latitudes, dtype=np.float64)
        longitudes = np.asarray(self.longitudes, dtype=np.float64)
        for name, values in (("latitude", latitudes), ("longitude", longitudes)):
            if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
                raise InvalidInputError(f"{name} must be one list of at least 2 finite degrees")
        steps = np.diff(latitudes)
        if not ((steps > 0).all() or (steps < 0).all()) or np.abs(latitudes).max() > 90:
            raise InvalidInputError("latitudes must rise or fall throughout, within [-90, 90]")
        unwrapped = longitudes[0] + np.concatenate([[0], np.cumsum(np.diff(longitudes) % 360)])
        if (np.diff(unwrapped) <= 0).any() or unwrapped[-1] - unwrapped[0] >= 360:
            raise InvalidInputError(
                "longitudes must rise eastwards around the globe once, without a repeated column"
            )
        object.__setattr__(self, "latitudes", latitudes)
        object.__setattr__(self, "longitudes", unwrapped)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return len(self.latitudes), len(self.longitudes)

    @property
    def is_global(self) -> bool:
        """Whether the columns go all the way around: the gap is at most 1.5 columns."""
        gap = 360 - (self.longitudes[-1] - self.longitudes[0])
        return bool(gap <= 1.5 * np.diff(self.longitudes).max())

    def area_weights(self) -> Array:
        """[H, W] shares of the area, mean 1: the sine of latitude between rows' midpoints."""
        edges = np.sin(np.deg2rad(self._latitude_edges()))
        rows = np.abs(np.diff(edges))
        weights = np.broadcast_to(rows[:, None], self.shape)
        return np.asarray(weights / weights.mean())

    def _latitude_edges(self) -> Array:
        middle = 0.5 * (self.latitudes[1:] + self.latitudes[:-1])
        first = 1.5 * self.latitudes[0] - 0.5 * self.latitudes[1]
        last = 1.5 * self.latitudes[-1] - 0.5 * self.latitudes[-2]
        return np.clip(np.concatenate([[first], middle, [last]]), -90, 90)

    def matches(self, other: "Grid") -> bool:
        """Whether both grids have the same points, in the same order."""
        return (
            self.shape == other.shape
            and np.allclose(self.latitudes, other.latitudes, atol=1e-3)
            and bool(np.allclose((self.longitudes - other.longitudes + 180) % 360, 180, atol=1e-3))
        )


def gaussian_grid(rows: int, columns: int, first_longitude: float = -180.0) -> Grid:
    """The Gaussian grid that spectral models of the atmosphere use, north to south.

    Args:
        rows: Roots of the Legendre polynomial of this degree are the sines of latitude.
        columns: Evenly spaced longitudes.
        first_longitude: Degrees east of the first column.
    """
    sines = np.polynomial.legendre.leggauss(rows)[0]
    latitudes = np.rad2deg(np.arcsin(sines))[::-1]
    return Grid(latitudes.copy(), first_longitude + 360 / columns * np.arange(columns))


def regrid(field: Array, source: Grid, target: Grid) -> Array:
    """Bilinear interpolation; beyond the source's edge the nearest row or column holds.

    Args:
        field: [..., H, W] on `source`, without missing values.
        source: Where the values are.
        target: Where they are wanted.

    Returns:
        [..., h, w] float64 on `target`; the field itself where the grids match.
    """
    if source.matches(target):
        return np.asarray(field, dtype=np.float64)
    below, above, share = _row_neighbours(source.latitudes, target.latitudes)
    rows = field[..., below, :] * (1 - share)[:, None] + field[..., above, :] * share[:, None]
    left, right, share = _column_neighbours(source, target.longitudes)
    return np.asarray(rows[..., left] * (1 - share) + rows[..., right] * share)


def _row_neighbours(source: Array, target: Array) -> tuple[NDArray[np.int64], ...]:
    order = np.argsort(source)
    positions = np.interp(target, source[order], np.arange(len(source), dtype=np.float64))
    lower = np.minimum(positions.astype(np.int64), len(source) - 2)
    return order[lower], order[lower + 1], positions - lower


def _column_neighbours(source: Grid, target: Array) -> tuple[NDArray[np.int64], ...]:
    start = source.longitudes[0]
    offsets = source.longitudes - start
    wanted = (target - start) % 360
    columns = len(offsets)
    if source.is_global:
        positions = np.interp(wanted, np.append(offsets, 360.0), np.arange(columns + 1.0))
        left = np.minimum(positions.astype(np.int64), columns - 1)
        return left, (left + 1) % columns, positions - left
    # Points west of a regional grid are nearer to its first column than to its last.
    middle_of_gap = 0.5 * (offsets[-1] + 360)
    wanted = np.where(wanted > middle_of_gap, 0.0, wanted)
    positions = np.interp(wanted, offsets, np.arange(columns, dtype=np.float64))
    left = np.minimum(positions.astype(np.int64), columns - 2)
    return left, left + 1, positions - left

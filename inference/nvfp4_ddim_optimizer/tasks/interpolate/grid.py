"""Rectilinear grids of the globe, and bilinear interpolation between them.

Longitude is cyclic: a grid may run from 0 to 360, from -180 to 180, begin anywhere and cover the
globe or a part of it. Latitudes may rise or fall.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["Grid", "covers", "gaussian_grid", "regrid"]

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
        edges = np.sin(np.deg2rad(self.latitude_edges()))
        rows = np.abs(np.diff(edges))
        weights = np.broadcast_to(rows[:, None], self.shape)
        return np.asarray(weights / weights.mean())

    def latitude_edges(self) -> Array:
        """[H + 1] edges of the rows, in degrees."""
        return np.clip(_midpoints(self.latitudes), -90, 90)

    def matches(self, other: "Grid") -> bool:
        """Whether both grids have the same points, in the same order."""
        return (
            self.shape == other.shape
            and np.allclose(self.latitudes, other.latitudes, atol=1e-3)
            and bool(np.allclose((self.longitudes - other.longitudes + 180) % 360, 180, atol=1e-3))
        )


def gaussian_grid(rows: int, columns: int) -> Grid:
    """The Gaussian grid that spectral models of the atmosphere use, north to south, from 180 W.

    Args:
        rows: Roots of the Legendre polynomial of this degree are the sines of latitude.
        columns: Evenly spaced longitudes.
    """
    sines = np.polynomial.legendre.leggauss(rows)[0]
    latitudes = np.rad2deg(np.arcsin(sines))[::-1]
    longitudes = -180 + 360 / columns * np.arange(columns, dtype=np.float64)
    return Grid(latitudes.astype(np.float64), longitudes)


def regrid(field: Array, source: Grid, target: Grid) -> Array:
    """Bilinear interpolation, or area means where the target's cells are much the larger.

    Beyond the source's edge the nearest row or column holds.

    Args:
        field: [..., H, W] on `source`, without missing values.
        source: Where the values are.
        target: Where they are wanted.

    Returns:
        [..., h, w] float64 on `target`; the field itself where the grids match.
    """
    field = np.asarray(field, dtype=np.float64)
    if source.matches(target):
        return field
    rows = _row_operator(source, target)
    columns = _column_operator(source, target)
    return np.asarray(np.einsum("hH,...HW,wW->...hw", rows, field, columns, optimize=True))


def covers(source: Grid, target: Grid) -> NDArray[np.bool_]:
    """[h, w]: which points of the target lie within the source's outermost cells."""
    reach = np.abs(np.diff(source.latitudes)).max()
    rows = (target.latitudes >= source.latitudes.min() - reach) & (
        target.latitudes <= source.latitudes.max() + reach
    )
    if source.is_global:
        columns = np.ones(len(target.longitudes), dtype=bool)
    else:
        reach = np.diff(source.longitudes).max()
        offsets = (target.longitudes - source.longitudes[0] + reach) % 360
        columns = offsets <= source.longitudes[-1] - source.longitudes[0] + 2 * reach
    return np.asarray(rows[:, None] & columns)


_COARSER = 1.5
"""From this ratio of cell sizes on, interpolation would skip cells: means are taken."""


def _row_operator(source: Grid, target: Grid) -> Array:
    """[h, H] weights that sum to 1 in each row."""
    fine = np.abs(np.diff(source.latitudes)).mean()
    coarse = np.abs(np.diff(target.latitudes)).mean()
    if coarse > _COARSER * fine:
        edges = [np.sin(np.deg2rad(grid.latitude_edges())) for grid in (target, source)]
        overlap = _overlaps(*edges)
        covered = overlap.sum(1, keepdims=True) > 1e-9
        if covered.all():
            return np.asarray(overlap / overlap.sum(1, keepdims=True))
        bilinear = _two_point(*_row_neighbours(source.latitudes, target.latitudes), source.shape[0])
        return np.where(
            covered, overlap / np.maximum(overlap.sum(1, keepdims=True), 1e-9), bilinear
        )
    return _two_point(*_row_neighbours(source.latitudes, target.latitudes), source.shape[0])


def _column_operator(source: Grid, target: Grid) -> Array:
    """[w, W] weights that sum to 1 in each row."""
    bilinear = _two_point(*_column_neighbours(source, target.longitudes), source.shape[1])
    fine, coarse = np.diff(source.longitudes).mean(), np.diff(target.longitudes).mean()
    if coarse <= _COARSER * fine:
        return bilinear
    wanted, there = _midpoints(target.longitudes), _midpoints(source.longitudes)
    turns = [_overlaps(wanted, there + 360 * turn) for turn in (-2, -1, 0, 1, 2)]
    overlap = np.sum(turns, axis=0)
    total = overlap.sum(1, keepdims=True)
    return np.asarray(np.where(total > 1e-9, overlap / np.maximum(total, 1e-9), bilinear))


def _overlaps(wanted: Array, there: Array) -> Array:
    """Length that each wanted cell shares with each cell that is there, from their edges."""
    low = np.maximum(
        np.minimum(wanted[:-1], wanted[1:])[:, None], np.minimum(there[:-1], there[1:])
    )
    high = np.minimum(
        np.maximum(wanted[:-1], wanted[1:])[:, None], np.maximum(there[:-1], there[1:])
    )
    return np.asarray(np.maximum(high - low, 0.0))


def _midpoints(centres: Array) -> Array:
    """[N + 1] edges of cells."""
    inner = 0.5 * (centres[1:] + centres[:-1])
    first, last = 1.5 * centres[0] - 0.5 * centres[1], 1.5 * centres[-1] - 0.5 * centres[-2]
    return np.concatenate([[first], inner, [last]])


def _two_point(
    left: NDArray[np.int64], right: NDArray[np.int64], share: Array, count: int
) -> Array:
    operator = np.zeros((len(left), count))
    rows = np.arange(len(left))
    np.add.at(operator, (rows, left), 1 - share)
    np.add.at(operator, (rows, right), share)
    return operator


def _row_neighbours(
    source: Array, target: Array
) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    order = np.argsort(source)
    positions = np.interp(target, source[order], np.arange(len(source), dtype=np.float64))
    lower = np.minimum(positions.astype(np.int64), len(source) - 2)
    return order[lower], order[lower + 1], positions - lower


def _column_neighbours(
    source: Grid, target: Array
) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
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

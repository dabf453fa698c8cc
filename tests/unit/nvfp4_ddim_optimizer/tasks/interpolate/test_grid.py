"""Grids: coordinates that wrap, both directions of latitude, interpolation and area means."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.tasks.interpolate import Grid, gaussian_grid, regrid
from nvfp4_ddim_optimizer.tasks.interpolate.grid import covers


def even_grid(rows: int, columns: int, west: float = 0.0, *, south_first: bool = False) -> Grid:
    latitudes = 90 - 180 * (np.arange(rows) + 0.5) / rows
    return Grid(
        latitudes[::-1].copy() if south_first else latitudes,
        west + 360 * np.arange(columns) / columns,
    )


def smooth(grid: Grid) -> np.ndarray:
    """A field of the coordinates alone, cyclic in longitude."""
    latitude, longitude = np.deg2rad(grid.latitudes)[:, None], np.deg2rad(grid.longitudes)[None, :]
    return np.sin(latitude) + np.cos(latitude) * np.cos(longitude - 1)


def test_the_gaussian_grid_is_the_textbooks() -> None:
    grid = gaussian_grid(96, 192)
    assert grid.latitudes[0] == pytest.approx(88.572, abs=1e-3)  # T63
    assert grid.longitudes[[0, -1]].tolist() == [-180.0, 178.125]
    assert grid.is_global


@given(
    rows=st.integers(6, 24),
    columns=st.integers(8, 40),
    west=st.floats(-180, 360),
    south_first=st.booleans(),
)
def test_every_order_of_a_grid_gives_the_same_field(
    rows: int, columns: int, west: float, south_first: bool
) -> None:
    source = even_grid(rows, columns, west, south_first=south_first)
    target = gaussian_grid(16, 32)
    error = np.abs(regrid(smooth(source), source, target) - smooth(target))
    cell = np.deg2rad(max(180 / rows, 360 / columns, 12))
    assert error.max() < cell**2 + 0.6 * cell  # second order inside, first beyond the last row


@given(west=st.floats(-360, 360), shift=st.integers(0, 31))
def test_turning_a_field_and_its_grid_changes_nothing(west: float, shift: int) -> None:
    source, target = even_grid(12, 32, west), gaussian_grid(16, 32)
    field = np.random.default_rng(1).normal(size=(12, 32))
    turned = Grid(source.latitudes, np.roll(source.longitudes, shift) % 360)
    assert np.allclose(
        regrid(field, source, target), regrid(np.roll(field, shift, 1), turned, target), atol=1e-6
    )


def test_a_constant_stays_constant_and_the_same_grid_is_the_field_itself() -> None:
    source = even_grid(40, 90)
    assert np.allclose(regrid(np.full((40, 90), 3.5), source, gaussian_grid(16, 32)), 3.5)
    field = np.random.default_rng(0).normal(size=(40, 90))
    assert np.array_equal(regrid(field, source, source), field)


def test_large_cells_are_means_of_small_ones() -> None:
    source, target = even_grid(64, 128), even_grid(8, 16)
    checkers = np.indices((64, 128)).sum(0) % 2 * 2.0 - 1
    assert np.abs(regrid(checkers, source, target)).max() < 0.1
    field = smooth(source)
    means = [
        float((g.area_weights() * f).mean())
        for g, f in ((source, field), (target, regrid(field, source, target)))
    ]
    assert means[0] == pytest.approx(means[1], abs=1e-3)


def test_area_weights_are_those_of_the_sphere() -> None:
    weights = gaussian_grid(96, 192).area_weights()
    assert weights.mean() == pytest.approx(1)
    assert weights[48, 0] / weights[0, 0] > 30


def test_a_regional_grid_covers_its_region_only() -> None:
    europe = Grid(np.linspace(70, 35, 15), np.linspace(350, 400, 21))
    assert not europe.is_global
    inside = covers(europe, gaussian_grid(48, 96))
    grid = gaussian_grid(48, 96)
    row, column = np.abs(grid.latitudes - 50).argmin(), np.abs(grid.longitudes - 0).argmin()
    assert inside[row, column]
    assert not inside[row, np.abs(grid.longitudes - 100).argmin()]
    assert not inside[np.abs(grid.latitudes + 50).argmin(), column]


@pytest.mark.parametrize(
    ("latitudes", "longitudes", "message"),
    [
        ([0, 10, 5], [0, 10, 20], "rise or fall"),
        ([0, 50, 100], [0, 10, 20], "rise or fall"),
        ([0, 10], [0, 180, 360], "without a repeated column"),
        ([0, 10], [0, 10, 10], "rise eastwards"),
        ([0], [0, 10], "at least 2"),
        ([0, np.nan], [0, 10], "finite"),
    ],
)
def test_nonsense_is_refused(latitudes: list[float], longitudes: list[float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Grid(np.array(latitudes, float), np.array(longitudes, float))

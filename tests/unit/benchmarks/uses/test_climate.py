"""The climate benchmark's scores and baselines, and a run of it on a made-up series."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.uses.climate_data import baselines, cases, load_fields
from benchmarks.uses.climate_scores import bands, crps, rmse, zonal_spectrum
from nvfp4_ddim_optimizer.tasks.interpolate import gaussian_grid


@pytest.fixture
def weights() -> np.ndarray:
    return gaussian_grid(8, 16).area_weights()


def diurnal_series(path: Path, days: int = 4, offset: float = 0.0) -> Path:
    """A daily wave that travels with the sun, and a drift."""
    hours = 6.0 * np.arange(4 * days)
    longitudes = np.arange(16) * 22.5
    wave = np.cos(2 * np.pi * (hours[:, None] / 24 + longitudes / 360))
    values = 10 + 3 * wave[:, None, :] + 0.1 * hours[:, None, None] + np.zeros((1, 8, 1))
    np.savez(path, tC=(values + offset).astype(np.float32))
    return path


def test_rmse_is_weighted_by_area(weights: np.ndarray) -> None:
    assert rmse(np.full((3, 8, 16), -2.0), weights) == pytest.approx(2)
    polar = np.zeros((8, 16))
    polar[0] = 1
    assert rmse(polar, weights) < np.sqrt((polar**2).mean())


def test_crps_of_one_member_is_the_mean_error_and_fair_for_more(weights: np.ndarray) -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(500, 8, 16))
    assert crps(truth[None] + 1, truth, weights) == pytest.approx(1)
    # Of a perfect ensemble of a standard normal: 1 / sqrt(pi), however small it is.
    for count in (2, 5):
        members = random.normal(size=(count, 500, 8, 16))
        assert crps(members, truth, weights) == pytest.approx(1 / np.sqrt(np.pi), abs=0.01)


def test_a_wave_has_its_power_at_its_wavenumber(weights: np.ndarray) -> None:
    field = np.broadcast_to(2 * np.cos(3 * 2 * np.pi * np.arange(16) / 16), (5, 8, 16))
    spectrum = zonal_spectrum(field, weights)
    assert spectrum[3] == pytest.approx(2)  # the mean square
    assert spectrum.sum() == pytest.approx(2)
    noise = np.random.default_rng(0).normal(size=(4, 8, 16))
    total = (noise**2 * weights).mean()
    assert zonal_spectrum(noise, weights).sum() == pytest.approx(total)
    found = bands(zonal_spectrum(noise, weights))
    assert found[0][0] == 1
    assert found[-1][1] == 8
    assert sum(power for *_, power in found) == pytest.approx(
        zonal_spectrum(noise, weights)[1:].sum()
    )


@pytest.mark.parametrize("offset", [0.0, 273.15])
def test_the_diurnal_baseline_knows_a_wave_that_linear_misses(
    tmp_path: Path, offset: float
) -> None:
    (fields,) = load_fields(diurnal_series(tmp_path / "a.npz", offset=offset))
    chosen = cases(fields, 12)
    assert [case.index for case in chosen] == [12, 13, 14]
    assert chosen[1].states.start_hour == 0
    found = baselines(fields, chosen[0], 12)
    errors = {name: np.abs(p - chosen[0].truth).max() for name, p in found.items()}
    assert errors["linear"] > 2.9
    assert errors["linear + diurnal residual"] < 1e-4
    assert set(found) == {"persistence", "linear", "cubic (4 states)", "linear + diurnal residual"}
    assert "cubic (4 states)" not in baselines(fields, chosen[-1], 12)


def test_a_directory_holds_several_series_and_times_are_read(tmp_path: Path) -> None:
    diurnal_series(tmp_path / "a.npz")
    np.savez(
        tmp_path / "b.npz",
        tC=np.zeros((3, 4, 6)),
        time=np.array(["2001-01-01T06:00:00"]),
        lat=np.array([60.0, 20, -20, -60]),
        lon=np.arange(6) * 60.0,
    )
    one, two = load_fields(tmp_path)
    assert (one.first_hour, two.first_hour, two.hour(3)) == (0, 6, 0)
    assert two.grid.latitudes[0] == 60

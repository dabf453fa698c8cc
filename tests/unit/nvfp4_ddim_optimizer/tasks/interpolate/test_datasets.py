"""Datasets in and out: names, orders, units, calendars, and what is refused."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nvfp4_ddim_contracts.tasks.interpolate import FieldUnits
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.tasks.interpolate import (
    ClimateInterpolator,
    States,
    frames_to_dataset,
    interpolate,
    read_states,
)
from nvfp4_ddim_optimizer.tasks.interpolate.reading import dataset_bytes, open_dataset

xr = pytest.importorskip("xarray", reason="needs the extra `climate`")


def dataset(states: States, which: str, hour: int, **renames: str) -> Any:
    """The state in kelvins, float32, with a level of size 1 and a land mask beside it."""
    field = (states.start if which == "start" else states.end).astype(np.float32) + 273.15
    found = xr.Dataset(
        {
            "tas": (
                ("time", "level", "lat", "lon"),
                field[None, None].astype(np.float32),
                {"units": "K", "standard_name": "air_temperature", "long_name": "Air temperature"},
            ),
        },
        coords={
            "time": [np.datetime64(f"2001-01-06T{hour:02d}:00", "ns")],
            "level": [2.0],
            "lat": ("lat", states.grid.latitudes, {"units": "degrees_north"}),
            "lon": ("lon", states.grid.longitudes, {"units": "degrees_east"}),
        },
        attrs={"source": "made up"},
    )
    return found.rename(renames)


@pytest.fixture
def pair(states: States) -> tuple[Any, Any]:
    return dataset(states, "start", 6), dataset(states, "end", 18)


def test_a_dataset_comes_back_as_it_was(
    pair: tuple[Any, Any], interpolator: ClimateInterpolator
) -> None:
    found = interpolate(interpolator, *pair, 1, members=2, num_inference_steps=2)
    assert found["tas"].dims == ("time", "lat", "lon")
    assert found["tas_member"].dims == ("member", "time", "lat", "lon")
    assert found["tas"].attrs == pair[0]["tas"].attrs
    assert found["tas"].dtype == np.float32
    assert found["lat"].attrs == {"units": "degrees_north"}
    assert float(found["level"]) == 2.0
    assert found["time"].values.tolist() == [
        np.datetime64(f"2001-01-06T{hour:02d}:00", "ns").astype(int) for hour in (6, 12, 18)
    ]
    assert found["tas_spread"].attrs["units"] == "K"
    for index, end in ((0, pair[0]), (2, pair[1])):
        assert np.array_equal(found["tas"][index].values, end["tas"].squeeze().values)
        assert np.array_equal(found["tas_member"][1, index].values, end["tas"].squeeze().values)


def test_netcdf_and_zarr_keep_it_all(
    pair: tuple[Any, Any], interpolator: ClimateInterpolator, tmp_path: Path
) -> None:
    frames = interpolate(interpolator, *pair, 1, members=2, num_inference_steps=2)
    again = open_dataset(dataset_bytes(frames))
    assert again.identical(frames) or again.equals(frames)
    assert again["tas"].attrs == frames["tas"].attrs
    pytest.importorskip("zarr")
    frames.to_zarr(tmp_path / "frames.zarr")
    assert open_dataset(tmp_path / "frames.zarr").equals(frames)


def test_order_names_and_directions_do_not_matter(states: States) -> None:
    plain = read_states(dataset(states, "start", 6), dataset(states, "end", 18))
    turned = [
        dataset(states, which, hour, lat="y", lon="x")
        .isel(y=slice(None, None, -1))
        .transpose("x", "level", "y", "time")
        for which, hour in (("start", 6), ("end", 18))
    ]
    found = read_states(*turned)
    assert found.latitude == "y"
    assert np.array_equal(found.states.start[::-1], plain.states.start)
    assert found.states.start_hour == 6
    assert found.states.span_hours == 12


def test_longitudes_that_wrap_fall_or_are_shuffled(states: States) -> None:
    plain = dataset(states, "start", 6), dataset(states, "end", 18)
    reference = read_states(*plain)
    wrapped = [d.assign_coords(lon=d["lon"] % 360) for d in plain]  # 180 … 358, 0, … 178
    falling = [d.isel(lon=slice(None, None, -1)) for d in plain]
    for pair in (wrapped, falling, [d.sortby("lon") for d in wrapped]):
        found = read_states(*pair)
        column = np.argmin(np.abs((found.states.grid.longitudes - 45 + 180) % 360 - 180))
        there = np.argmin(np.abs(reference.states.grid.longitudes - 45))
        assert np.array_equal(found.states.start[:, column], reference.states.start[:, there])


def test_frames_of_shuffled_longitudes_are_put_back(
    pair: tuple[Any, Any], interpolator: ClimateInterpolator
) -> None:
    falling = [d.isel(lon=slice(None, None, -1)) for d in pair]
    one, two = (
        interpolate(interpolator, *p, 1, members=1, num_inference_steps=2) for p in (pair, falling)
    )
    assert np.array_equal(two["lon"].values, falling[0]["lon"].values)
    assert np.array_equal(two["tas"][0].values, falling[0]["tas"].squeeze().values)
    assert np.allclose(two["tas"][1].values[:, ::-1], one["tas"][1].values, atol=1e-2)


def test_a_calendar_of_360_days(states: States) -> None:
    cftime = pytest.importorskip("cftime")
    pair = [
        dataset(states, which, 0).assign_coords(time=[cftime.Datetime360Day(2001, 2, day, hour)])
        for which, day, hour in (("start", 29, 18), ("end", 30, 6))
    ]
    found = read_states(*pair)
    assert (found.states.start_hour, found.states.span_hours) == (18, 12)
    assert found.time_at(0.5).day == 30
    with pytest.raises(InvalidInputError, match="calendars"):
        read_states(pair[0], dataset(states, "end", 6))


def test_times_can_be_given(states: States) -> None:
    pair = [dataset(states, w, 6).isel(time=0, drop=True) for w in ("start", "end")]
    with pytest.raises(InvalidInputError, match="start_time"):
        read_states(*pair)
    found = read_states(
        *pair,
        start_time=datetime(2001, 1, 1, 3, tzinfo=UTC),
        end_time=datetime(2001, 1, 1, 9, tzinfo=UTC),
    )
    assert (found.states.start_hour, found.states.span_hours) == (3, 6)


@pytest.mark.parametrize(
    ("attribute", "given", "expected"),
    [
        ("K", FieldUnits.AUTO, FieldUnits.KELVIN),
        ("degrees_celsius", FieldUnits.AUTO, FieldUnits.CELSIUS),
        (None, FieldUnits.AUTO, FieldUnits.KELVIN),
        (None, FieldUnits.KELVIN, FieldUnits.KELVIN),
    ],
)
def test_units(
    states: States, attribute: str | None, given: FieldUnits, expected: FieldUnits
) -> None:
    pair = [dataset(states, w, h) for w, h in (("start", 6), ("end", 18))]
    for each in pair:
        del each["tas"].attrs["units"]
        if attribute is not None:
            each["tas"].attrs["units"] = attribute
        if expected is FieldUnits.CELSIUS:
            each["tas"].values -= 273.15
    found = read_states(*pair, units=given)
    assert found.units is expected
    assert np.allclose(found.states.start, states.start, atol=1e-3)


def test_what_can_not_be_told_is_asked_for(states: States) -> None:
    start, end = dataset(states, "start", 6), dataset(states, "end", 18)
    with pytest.raises(InvalidInputError, match="fields"):
        read_states(start.assign(other=start["tas"] * 1), end.assign(other=end["tas"] * 1))
    read_states(
        start.assign(other=start["tas"] * 1), end.assign(other=end["tas"] * 1), variable="tas"
    )
    with pytest.raises(InvalidInputError, match="fields"):
        read_states(start, end, variable="pr")
    several = xr.concat(
        [start, start.assign_coords(time=start["time"] + np.timedelta64(6, "h"))], "time"
    )
    with pytest.raises(InvalidInputError, match="choose one time"):
        read_states(several, end)
    with pytest.raises(InvalidInputError, match="different grids"):
        read_states(start, end.isel(lon=slice(0, 20)))
    with pytest.raises(InvalidInputError, match="curvilinear"):
        read_states(start.rename(lat="j").drop_vars("j"), end)
    start["tas"].attrs["units"] = "mm/day"
    with pytest.raises(InvalidInputError, match="mm/day"):
        read_states(start, end)


def test_frames_of_float64_and_plain_variables_are_exact(
    states: States, interpolator: ClimateInterpolator
) -> None:
    arrays = [
        xr.DataArray(
            field + 273.15,
            dims=("lat", "lon"),
            coords={
                "lat": states.grid.latitudes,
                "lon": states.grid.longitudes,
                "time": np.datetime64(f"2001-01-01T{hour:02d}", "ns"),
            },
            name="t2m",
        )
        for field, hour in ((states.start, 6), (states.end, 18))
    ]
    found = read_states(*arrays)
    frames = interpolator.interpolate(found.states, (0, 0.5, 1), members=1, num_inference_steps=2)
    out = frames_to_dataset(found, frames)
    assert out["t2m"].dtype == np.float64
    assert np.array_equal(out["t2m"][2].values, arrays[1].values)
    assert out["t2m"].attrs == {"units": "K"}

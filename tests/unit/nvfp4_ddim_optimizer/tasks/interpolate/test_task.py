"""The task on files: NetCDF, .npy, what comes back, and what is refused."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nvfp4_ddim_contracts.tasks.interpolate import (
    SPEC,
    InterpolateParameters,
    InterpolateReport,
    InterpolateRequest,
)
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.base import RunOptions, TaskOutput
from nvfp4_ddim_optimizer.tasks.interpolate import InterpolateTask, States
from nvfp4_ddim_optimizer.tasks.interpolate.reading import npy_bytes, read_array, sniff

TIMES = {"start_time": "2001-01-06T06:00:00", "end_time": "2001-01-06T18:00:00"}


@pytest.fixture(scope="session")
def task(field_model: TaskModel) -> InterpolateTask:
    return InterpolateTask(field_model)


@pytest.fixture
def arrays(states: States) -> dict[str, bytes]:
    return {"start": npy_bytes(states.start + 273.15), "end": npy_bytes(states.end + 273.15)}


def run(
    task: InterpolateTask, inputs: dict[str, bytes], **parameters: Any
) -> TaskOutput[InterpolateReport]:
    given = InterpolateParameters.model_validate({"num_steps": 1, "members": 2, **parameters})
    return task.run(inputs, given, RunOptions(2, 0))


def test_npy_in_kelvins_comes_back_in_kelvins(
    task: InterpolateTask, arrays: dict[str, bytes], states: States
) -> None:
    out = run(task, arrays, **TIMES)
    files = {file.name: file for file in out.files}
    assert set(files) == {"mean.npy", "members.npy", "preview.webp"}
    mean = np.load(io.BytesIO(files["mean.npy"].data))
    assert mean.shape == (3, 16, 32)
    assert np.allclose(mean[0], states.start + 273.15, atol=1e-4)
    assert np.load(io.BytesIO(files["members.npy"].data)).shape == (2, 3, 16, 32)
    with Image.open(io.BytesIO(files["preview.webp"].data)) as preview:
        assert (preview.n_frames, preview.size) == (3, (384, 192))
    report = out.report
    assert report.times == [f"2001-01-06T{hour:02d}:00:00" for hour in (6, 12, 18)]
    assert (report.units, report.members, report.missing_cells) == ("K", 2, 0)
    assert report.area_means[0] == pytest.approx(
        float((states.grid.area_weights() * states.start).mean()) + 273.15, abs=1e-3
    )
    assert report.mean_spread[0] == 0 < report.mean_spread[1]
    assert report.is_familiar


def test_netcdf_comes_back_as_netcdf(task: InterpolateTask, states: States) -> None:
    xr = pytest.importorskip("xarray", reason="needs the extra `climate`")
    from nvfp4_ddim_optimizer.tasks.interpolate.reading import dataset_bytes, open_dataset

    inputs = {}
    for name, field, hour in (("start", states.start, 6), ("end", states.end, 18)):
        array = xr.DataArray(
            field,
            dims=("lat", "lon"),
            coords={
                "lat": states.grid.latitudes,
                "lon": states.grid.longitudes,
                "time": np.datetime64(f"2001-01-06T{hour:02d}", "ns"),
            },
            attrs={"units": "degC"},
        )
        inputs[name] = dataset_bytes(xr.Dataset({"ts": array}))
    out = run(task, inputs)
    frames = open_dataset(out.files[0].data)
    assert out.files[0].name == "frames.nc"
    assert dict(frames["ts"].sizes) == {"time": 3, "lat": 16, "lon": 32}
    assert out.report.variable == "ts"
    assert out.report.times[1] == "2001-01-06T12:00:00"
    assert {f.name for f in run(task, inputs, frame_format="npy").files} >= {"mean.npy"}


def test_a_strange_season_or_span_is_said(task: InterpolateTask, states: States) -> None:
    hot = {"start": npy_bytes(states.start * 0 + 40), "end": npy_bytes(states.end * 0 + 40)}
    report = run(task, hot, **TIMES).report
    assert not report.is_familiar
    assert "climate" in report.notes[0]
    near = run(
        task,
        {"start": npy_bytes(states.start), "end": npy_bytes(states.end)},
        start_time="2001-01-06T06:00:00",
        end_time="2001-01-06T07:00:00",
    ).report
    assert not near.is_familiar
    assert "1 hours apart" in near.notes[0]


def test_other_shapes_need_their_grid(task: InterpolateTask, states: States) -> None:
    small = {"start": npy_bytes(states.start[:8]), "end": npy_bytes(states.end[:8])}
    with pytest.raises(InvalidInputError, match="latitudes and longitudes"):
        run(task, small, **TIMES)
    out = run(task, small, **TIMES, latitudes=(80, 10), longitudes=(170, -190 + 350))
    assert np.load(io.BytesIO(out.files[0].data)).shape == (3, 8, 32)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "carry no time"),
        ({**TIMES, "frame_format": "netcdf"}, "NetCDF states"),
        ({**TIMES, "units": "degC"}, "degC"),
    ],
)
def test_what_does_not_fit_is_refused(
    task: InterpolateTask, arrays: dict[str, bytes], parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        run(task, arrays, **parameters)


def test_files_of_other_kinds_are_refused(task: InterpolateTask, arrays: dict[str, bytes]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    picture = buffer.getvalue()
    with pytest.raises(InvalidInputError, match="emoji-64"):
        run(task, {"start": picture, "end": picture}, **TIMES)
    with pytest.raises(InvalidInputError, match="one kind"):
        run(task, {"start": picture, "end": arrays["end"]}, **TIMES)
    with pytest.raises(InvalidInputError, match="no NetCDF"):
        run(task, {"start": b"GIF89a", "end": arrays["end"]}, **TIMES)
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidInputError, match="no readable"):
        run(task, {"start": pickled.getvalue(), "end": arrays["end"]}, **TIMES)
    with pytest.raises(InvalidInputError, match=r"can't be read|pip install"):
        run(task, {"start": b"\x89HDF\r\n\x1a\n" + bytes(64), "end": b"CDF\x01" + bytes(9)})


@settings(max_examples=400)
@given(cut=st.integers(0, 300), junk=st.binary(max_size=40))
def test_damaged_npy_files_end_in_a_typed_error(cut: int, junk: bytes) -> None:
    data = npy_bytes(np.zeros((4, 5)))[:cut] + junk
    try:
        if sniff(data) == "npy":
            assert read_array(data, "start").ndim == 2
    except InvalidInputError:
        pass


@given(values=st.lists(st.floats(-100, 60, width=32), min_size=4, max_size=4))
def test_npy_round_trip(values: list[float]) -> None:
    field = np.array(values, np.float32).reshape(2, 2)
    assert np.array_equal(read_array(npy_bytes(field), "start"), field)


def test_the_contract_is_strict() -> None:
    with pytest.raises(ValueError, match="before end_time"):
        InterpolateParameters.model_validate(
            {"start_time": "2001-01-02T00:00:00Z", "end_time": "2001-01-02T01:00:00+02:00"}
        )
    with pytest.raises(ValueError, match="less than or equal to 48"):
        InterpolateParameters(num_steps=49)
    request = InterpolateRequest.model_validate(
        {"inputs": {"start": {"data": "AA=="}, "end": {"data": "AA=="}}}
    )
    assert request.task is SPEC.name
    assert "num_steps" in SPEC.parameters_schema()["properties"]

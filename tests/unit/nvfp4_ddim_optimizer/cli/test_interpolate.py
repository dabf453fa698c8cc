"""`nvfp4-ddim interpolate` with the bundled models."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.cli.app import app
from nvfp4_ddim_optimizer.cli.runtime import ExitCode
from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError
from nvfp4_ddim_optimizer.tasks.interpolate import gaussian_grid

TIMES = ("--start-time", "2001-01-06T06:00:00", "--end-time", "2001-01-06T18:00:00")
QUICK = ("--steps", 2, "--members", 1, "--num-steps", 1, "--seed", 0)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def arrays(tmp_path: Path) -> tuple[Path, Path]:
    warm = 45 * np.cos(np.deg2rad(gaussian_grid(96, 192).latitudes))[:, None] - 20
    paths = tmp_path / "start.npy", tmp_path / "end.npy"
    for path, change in zip(paths, (0.0, 1.0), strict=True):
        np.save(path, (warm + change + np.zeros((96, 192))).astype(np.float32))
    return paths


def test_arrays(arrays: tuple[Path, Path], tmp_path: Path) -> None:
    result = run("interpolate", *arrays, "-o", tmp_path / "out", *TIMES, *QUICK, "--json")
    assert result.exit_code == ExitCode.OK, result.output
    report = json.loads(result.stdout)
    assert report["fractions"] == [0, 0.5, 1]
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    mean = np.load(tmp_path / "out" / "mean.npy")
    assert np.allclose(mean[2], np.load(arrays[1]), atol=1e-5)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"mean.npy", "members.npy", "preview.webp", "report.json"}


def test_zarr_is_read_as_a_directory(arrays: tuple[Path, Path], tmp_path: Path) -> None:
    xr = pytest.importorskip("xarray", reason="needs the extra `climate`")
    pytest.importorskip("zarr")
    grid, stores = gaussian_grid(96, 192), []
    for path, hour in zip(arrays, (6, 18), strict=True):
        coordinates = {
            "lat": grid.latitudes,
            "lon": grid.longitudes,
            "time": np.datetime64(f"2001-01-06T{hour:02d}", "ns"),
        }
        field = xr.DataArray(np.load(path), dims=("lat", "lon"), coords=coordinates, name="ts")
        stores.append(tmp_path / f"{hour}.zarr")
        field.to_dataset().to_zarr(stores[-1], consolidated=False)
    result = run("interpolate", *stores, "-o", tmp_path / "out", *QUICK)
    assert result.exit_code == ExitCode.OK, result.output
    assert "ts in degC" in result.stdout
    assert (tmp_path / "out" / "frames.nc").is_file()
    result = run("interpolate", *stores, "-o", tmp_path / "out.zarr", *QUICK)
    assert result.exit_code == ExitCode.OK, result.output
    with xr.open_zarr(tmp_path / "out.zarr", consolidated=False) as frames:
        assert dict(frames["ts"].sizes) == {"time": 3, "lat": 96, "lon": 192}
    assert run("interpolate", *stores, "-o", tmp_path / "out.zarr").exit_code == ExitCode.USAGE


def test_pictures_go_to_a_model_that_paints(tmp_path: Path) -> None:
    ends = tmp_path / "a.png", tmp_path / "b.png"
    for path, colour in zip(ends, ("red", "blue"), strict=True):
        Image.new("RGB", (64, 64), colour).save(path)
    result = run("interpolate", *ends, "-o", tmp_path / "out", "--steps", 3, "--num-steps", 2)
    assert result.exit_code == ExitCode.OK, result.output
    frames = sorted((tmp_path / "out").glob("frame-*.png"))
    assert [frame.name for frame in frames] == [f"frame-{k:02d}.png" for k in range(4)]
    with Image.open(frames[0]) as first:
        assert first.getpixel((5, 5)) == (255, 0, 0)


def test_what_is_missing_is_said(arrays: tuple[Path, Path], tmp_path: Path) -> None:
    result = run("interpolate", *arrays, "-o", tmp_path / "out", *QUICK)
    assert result.exit_code == ExitCode.USAGE
    assert "start_time" in result.stderr
    assert not (tmp_path / "out").exists()


def test_pipelines_say_what_they_can() -> None:
    climate = OptimizationPipeline.from_preset("climate-6h")
    assert climate.tasks == ("interpolate",)
    with pytest.raises(ModelNotSupportedError, match="does not paint"):
        climate.generate("a cat")
    with pytest.raises(InvalidInputError, match="takes the inputs start, end"):
        climate.run("interpolate", {})

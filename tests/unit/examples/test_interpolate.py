"""The example runs, and says what the model is for."""

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "interpolate.py"


def test_the_model_beats_a_straight_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xr = pytest.importorskip("xarray", reason="needs the extra `climate`")
    line, model = runpy.run_path(str(EXAMPLE))["main"](tmp_path)
    assert model < 0.5 * line
    assert "12 UTC" in capsys.readouterr().out
    with xr.open_dataset(tmp_path / "between.nc", engine="netcdf4") as frames:
        assert dict(frames["ts"].sizes) == {"time": 5, "lat": 96, "lon": 192}
        assert frames["ts"].attrs["units"] == "degC"

"""Fill in the time between two temperature fields, and see how much better it is than a line.

The inputs are the surface temperature of a climate model at 06 and 18 UTC of a day that the model
was not trained on. The field at 12 UTC is known too, so that the answer can be checked.

Run: python examples/interpolate.py [FOLDER]     (needs the extra `climate`)
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr

from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.tasks.interpolate import InterpolateTask, interpolate

INPUTS = Path(__file__).parent / "inputs"


def main(folder: Path) -> tuple[float, float]:
    """Write `between.nc`; returns the errors at 12 UTC of linear interpolation and of the model."""
    start, truth, end = (
        xr.load_dataset(INPUTS / f"surface_temperature_2001-01-06T{hour:02d}.nc", engine="netcdf4")
        for hour in (6, 12, 18)
    )
    task = OptimizationPipeline.from_preset("climate-6h").task("interpolate")
    assert isinstance(task, InterpolateTask)  # noqa: S101 - tells the type checker which task
    frames = interpolate(task.interpolator, start, end, num_steps=3, members=4, seed=0)
    folder.mkdir(parents=True, exist_ok=True)
    frames.to_netcdf(folder / "between.nc", engine="netcdf4")

    area = np.cos(np.deg2rad(truth["lat"]))
    noon = frames.sel(time=truth["time"])
    line = 0.5 * (start["ts"] + end["ts"])
    errors = [
        float(((field - truth["ts"]) ** 2).weighted(area).mean(("lat", "lon"))) ** 0.5
        for field in (line, noon["ts"])
    ]
    spread = float((noon["ts_spread"] ** 2).weighted(area).mean(("lat", "lon"))) ** 0.5
    print(f"at 12 UTC: a straight line is off by {errors[0]:.2f} K, the model by {errors[1]:.2f} K")
    print(f"the ensemble's spread says {spread:.2f} K  ->  {folder / 'between.nc'}")
    return errors[0], errors[1]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("between"))

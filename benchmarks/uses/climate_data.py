"""Six-hourly fields for evaluation, and what interpolates them without a model.

The documented form: an npz with `tC` [N, H, W] in degrees Celsius (or kelvins), every six hours;
optionally `time` [N] (ISO 8601, UTC; otherwise the first field is at 0 UTC), `lat` [H] and `lon`
[W] in degrees (otherwise a Gaussian grid, north to south, from 180 W). A directory holds several.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nvfp4_ddim_optimizer.tasks.interpolate import Grid, States, gaussian_grid

__all__ = ["Case", "Fields", "baselines", "cases", "load_fields"]

Array = NDArray[np.float64]
STEP_HOURS = 6


@dataclass(frozen=True)
class Fields:
    """A series of fields.

    Attributes:
        name: Of the file.
        values: [N, H, W] in degrees Celsius.
        grid: Where they lie.
        first_hour: Hour UTC of the first.
    """

    name: str
    values: Array
    grid: Grid
    first_hour: float

    def hour(self, index: int) -> float:
        """Hour UTC of a field."""
        return (self.first_hour + STEP_HOURS * index) % 24


@dataclass(frozen=True)
class Case:
    """One field to predict from its two neighbours.

    Attributes:
        index: Of the field to predict.
        states: Its neighbours.
        truth: [H, W].
    """

    index: int
    states: States
    truth: Array


def load_fields(data: Path) -> list[Fields]:
    """Every series of an npz or of a directory of them."""
    paths = sorted(data.glob("*.npz")) if data.is_dir() else [data]
    return [_load(path) for path in paths]


def _load(path: Path) -> Fields:
    with np.load(path, allow_pickle=False) as arrays:
        values = arrays["tC"].astype(np.float64)
        times = arrays.get("time")
        if "lat" in arrays and "lon" in arrays:
            grid = Grid(arrays["lat"].astype(np.float64), arrays["lon"].astype(np.float64))
        else:
            grid = gaussian_grid(values.shape[1], values.shape[2])
    if np.nanmedian(values) > 150:
        values = values - 273.15
    hour = 0.0
    if times is not None:
        first = np.datetime64(str(times[0]))
        hour = float((first - first.astype("datetime64[D]")) / np.timedelta64(1, "h"))
    return Fields(path.stem, values, grid, hour)


def cases(fields: Fields, first: int) -> list[Case]:
    """Every field from `first` on that has both neighbours."""
    return [
        Case(
            index,
            States(
                fields.values[index - 1],
                fields.values[index + 1],
                fields.grid,
                fields.hour(index - 1),
                2.0 * STEP_HOURS,
            ),
            fields.values[index],
        )
        for index in range(max(first, 1), len(fields.values) - 1)
    ]


def baselines(fields: Fields, case: Case, first: int) -> dict[str, Array]:
    """Predictions without a model, [H, W] each.

    Persistence, linear, cubic through four fields (which no two-state method is given), and
    linear plus the mean residual of that hour and place over the fields before `first`.
    """
    v, i = fields.values, case.index
    linear = 0.5 * (v[i - 1] + v[i + 1])
    found = {"persistence": v[i - 1], "linear": linear}
    if 2 <= i < len(v) - 2:
        found["cubic (4 states)"] = (9 * (v[i - 1] + v[i + 1]) - v[i - 2] - v[i + 2]) / 16
    earlier = [m for m in range(1, first - 1) if fields.hour(m) == fields.hour(i) and m + 1 < first]
    if earlier:
        residual = np.mean([v[m] - 0.5 * (v[m - 1] + v[m + 1]) for m in earlier], axis=0)
        found["linear + diurnal residual"] = linear + residual
    return found

"""Plain arrays as states, and where frames lie."""

from datetime import datetime

import numpy as np

from nvfp4_ddim_contracts.tasks.interpolate import FieldUnits
from nvfp4_ddim_optimizer.errors import InvalidInputError

from .climate import Array, States
from .grid import Grid

__all__ = ["array_states", "even_fractions"]

_ZERO_CELSIUS = 273.15


def even_fractions(num_steps: int) -> tuple[float, ...]:
    """Both ends and `num_steps` evenly spaced frames in between.

    Raises:
        InvalidInputError: Fewer than one is asked for.
    """
    if num_steps < 1:
        raise InvalidInputError(f"num_steps must be at least 1, not {num_steps}")
    return tuple(k / (num_steps + 1) for k in range(num_steps + 2))


def array_states(
    start: Array,
    end: Array,
    *,
    start_time: datetime,
    end_time: datetime,
    units: FieldUnits,
    model_grid: Grid,
    latitudes: tuple[float, float] | None = None,
    longitudes: tuple[float, float] | None = None,
) -> States:
    """Two arrays [H, W] as states.

    Args:
        start: NaN where missing.
        end: The same, later.
        start_time: UTC, without a zone.
        end_time: UTC, without a zone.
        units: Kelvin or Celsius.
        model_grid: What arrays of its shape lie on where nothing is said.
        latitudes: First and last row, evenly spaced; needed for other shapes.
        longitudes: First and last column, evenly spaced; needed for other shapes.

    Raises:
        InvalidInputError: The grid is not known, or the states do not fit.
    """
    if start.ndim != 2 or start.shape != end.shape:
        raise InvalidInputError(
            f"both states must be rows by columns of one shape, not {start.shape} and {end.shape}"
        )
    if latitudes is None and longitudes is None and start.shape == model_grid.shape:
        grid = model_grid
    elif latitudes is None or longitudes is None:
        raise InvalidInputError(
            f"where do {start.shape[0]} x {start.shape[1]} values lie? Give latitudes and "
            "longitudes of the first and last row and column; only "
            f"{model_grid.shape[0]} x "
            f"{model_grid.shape[1]} is known, the model's own grid"
        )
    else:
        rows, columns = start.shape
        last = longitudes[1] if longitudes[1] > longitudes[0] else longitudes[1] + 360
        grid = Grid(np.linspace(*latitudes, rows), np.linspace(longitudes[0], last, columns))
    offset = _ZERO_CELSIUS if units is FieldUnits.KELVIN else 0.0
    midnight = start_time.replace(hour=0, minute=0, second=0, microsecond=0)
    return States(
        start - offset,
        end - offset,
        grid,
        (start_time - midnight).total_seconds() / 3600,
        (end_time - start_time).total_seconds() / 3600,
    )

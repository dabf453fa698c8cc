"""One function for Datasets, DataArrays and arrays."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Union, cast

import numpy as np
from numpy.typing import NDArray

from nvfp4_ddim_contracts.tasks.interpolate import FieldUnits
from nvfp4_ddim_optimizer.diffusion import StepEvent
from nvfp4_ddim_optimizer.errors import InvalidInputError

from .arrays import array_states, even_fractions
from .climate import ClimateInterpolator, Frames
from .datasets import frames_to_dataset, guess_units, read_states

if TYPE_CHECKING:
    import xarray

__all__ = ["interpolate"]

State = Union[NDArray[Any], "xarray.Dataset", "xarray.DataArray"]


def interpolate(
    interpolator: ClimateInterpolator,
    start_state: State,
    end_state: State,
    num_steps: int = 5,
    *,
    members: int = 4,
    num_inference_steps: int = 20,
    seed: int = 0,
    variable: str | None = None,
    units: FieldUnits | str = FieldUnits.AUTO,
    start_time: datetime | None = None,
    end_time: datetime | None = None,
    latitudes: tuple[float, float] | None = None,
    longitudes: tuple[float, float] | None = None,
    conserve_mean: bool = False,
    on_step: Callable[[StepEvent], None] | None = None,
    should_cancel: Callable[[], bool] | None = None,
) -> "Frames | xarray.Dataset":
    """Frames between two states.

    Args:
        interpolator: The model.
        start_state: A Dataset or DataArray of one time, or an array [H, W]; NaN where missing.
        end_state: The same, later, on the same grid.
        num_steps: Frames in between, evenly spaced; both ends come too.
        members: Size of the ensemble.
        num_inference_steps: DDIM steps.
        seed: Member k uses seed + k.
        variable: A Dataset's field, where it has several.
        units: "K", "degC", or "auto": from the attribute `units`, or by the values.
        start_time: UTC; needed for arrays.
        end_time: UTC; needed for arrays.
        latitudes: Arrays: first and last row in degrees north, evenly spaced; None for arrays on
            the model's own grid.
        longitudes: Arrays: first and last column in degrees east.
        conserve_mean: Let the area mean move linearly.
        on_step: Called after each step.
        should_cancel: Asked before each step.

    Returns:
        A Dataset with `<name>`, `<name>_member` and `<name>_spread` for Datasets and DataArrays,
        `Frames` in degrees Celsius for arrays.

    Raises:
        InvalidInputError: The states can't be used, or too little is known of them.
        GenerationCancelled: `should_cancel` said so.
    """
    try:
        unit = FieldUnits(units)
    except ValueError:
        raise InvalidInputError(f"units are K, degC or auto, not {units!r}") from None
    fractions = even_fractions(num_steps)
    are_arrays = isinstance(start_state, np.ndarray) and isinstance(end_state, np.ndarray)
    found = None
    if are_arrays:
        if start_time is None or end_time is None:
            raise InvalidInputError("arrays carry no time: give start_time and end_time in UTC")
        first, last = (np.asarray(state, dtype=np.float64) for state in (start_state, end_state))
        states = array_states(
            first,
            last,
            start_time=start_time,
            end_time=end_time,
            units=guess_units(first) if unit is FieldUnits.AUTO else unit,
            model_grid=interpolator.grid,
            latitudes=latitudes,
            longitudes=longitudes,
        )
    else:
        found = read_states(
            cast("xarray.Dataset", start_state),
            cast("xarray.Dataset", end_state),
            variable=variable,
            units=unit,
            start_time=start_time,
            end_time=end_time,
        )
        states = found.states
    frames = interpolator.interpolate(
        states,
        fractions,
        members=members,
        num_inference_steps=num_inference_steps,
        seed=seed,
        conserve_mean=conserve_mean,
        on_step=on_step,
        should_cancel=should_cancel,
    )
    return frames if found is None else frames_to_dataset(found, frames)

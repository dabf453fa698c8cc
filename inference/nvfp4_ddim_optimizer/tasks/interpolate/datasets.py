"""xarray Datasets in and out: which variable is the field, where and when it is, and back again.

Reading is forgiving about names, order of dimensions, direction of the axes and calendars; what it
can't tell it asks for. Coordinates, attributes, order and names come back as they were.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from nvfp4_ddim_contracts.tasks.interpolate import FieldUnits
from nvfp4_ddim_optimizer.errors import InvalidInputError

from .climate import Array, Frames, States
from .grid import Grid

if TYPE_CHECKING:
    import xarray

__all__ = ["DatasetStates", "frames_to_dataset", "guess_units", "read_states", "xarray_module"]

Source = Union["xarray.Dataset", "xarray.DataArray"]

_ZERO_CELSIUS = 273.15
_NAMES = {
    "latitude": ("lat", "latitude", "y", "nav_lat"),
    "longitude": ("lon", "longitude", "x", "nav_lon"),
}
_UNITS = {
    FieldUnits.KELVIN: ("k", "kelvin", "degk", "deg_k", "degree_k"),
    FieldUnits.CELSIUS: (
        "degc",
        "celsius",
        "c",
        "°c",
        "deg_c",
        "degree_celsius",
        "degrees_celsius",
        "degree_c",
    ),
}


def xarray_module() -> Any:
    """xarray.

    Raises:
        InvalidInputError: It is not installed.
    """
    try:
        return import_module("xarray")
    except ImportError as error:
        raise InvalidInputError(
            "NetCDF, zarr and Datasets need xarray: pip install 'nvfp4-ddim-optimizer[climate]'"
        ) from error


@dataclass(frozen=True)
class DatasetStates:
    """Two states read from Datasets, and what is needed to write the frames like them.

    Attributes:
        states: The values in degrees Celsius, rows and columns in `grid`'s order.
        start: The field as it was given, without dimensions of size 1.
        end: The same.
        latitude: Name of the dimension.
        longitude: Name of the dimension.
        units: Units that the values had.
        start_time: As it was given: numpy.datetime64 or a cftime date.
        columns: Order that makes the longitudes rise, [W].
    """

    states: States
    start: "xarray.DataArray"
    end: "xarray.DataArray"
    latitude: str
    longitude: str
    units: FieldUnits
    start_time: Any
    columns: Any

    def time_at(self, fraction: float) -> Any:
        """Time of a frame, in the start's calendar."""
        return _later(self.start_time, fraction * self.states.span_hours)


def read_states(
    start: Source,
    end: Source,
    *,
    variable: str | None = None,
    units: FieldUnits = FieldUnits.AUTO,
    start_time: datetime | None = None,
    end_time: datetime | None = None,
) -> DatasetStates:
    """Find the field in two Datasets of one time each.

    Args:
        start: Dataset or DataArray with the first state.
        end: The same with the last.
        variable: Its name, where a Dataset has several fields.
        units: What the values are in, where the attribute `units` does not say so.
        start_time: Instead of the Dataset's own, UTC.
        end_time: Instead of the Dataset's own, UTC.

    Raises:
        InvalidInputError: The field, its axes, time or units can't be told, or the two do not fit.
    """
    fields = [_field(source, variable, name) for source, name in ((start, "start"), (end, "end"))]
    latitude, longitude = (_axis(fields[0], kind) for kind in _NAMES)
    grids, values, orders = [], [], []
    for field, name in zip(fields, ("start", "end"), strict=True):
        if {latitude, longitude} - set(map(str, field.dims)) or field.ndim != 2:
            raise InvalidInputError(
                f"the {name} has dimensions {dict(field.sizes)}; wanted are {latitude}, "
                f"{longitude} and others of size 1 only: choose one time and level"
            )
        east = np.asarray(field[longitude].values, dtype=np.float64)
        order = _eastwards(east)
        grids.append(Grid(np.asarray(field[latitude].values, np.float64), east[order]))
        values.append(field.transpose(latitude, longitude).values.astype(np.float64)[:, order])
        orders.append(order)
    if not grids[0].matches(grids[1]):
        raise InvalidInputError("start and end lie on different grids: bring them to one first")
    known = _units(fields[0], values[0], units)
    offset = _ZERO_CELSIUS if known is FieldUnits.KELVIN else 0.0
    moments = [
        _time(field, given, name)
        for field, given, name in zip(fields, (start_time, end_time), ("start", "end"), strict=True)
    ]
    states = States(
        values[0] - offset, values[1] - offset, grids[0], _hour(moments[0]), _span(*moments)
    )
    return DatasetStates(
        states, fields[0], fields[1], latitude, longitude, known, moments[0], orders[0]
    )


def frames_to_dataset(found: DatasetStates, frames: Frames) -> "xarray.Dataset":
    """Frames as a Dataset like the start's.

    Args:
        found: The two states, as they were read.
        frames: What was made of them.

    Returns:
        `<name>`: the mean (time, then the field's own dimensions); `<name>_member`: the ensemble,
        with `member` before; `<name>_spread`: its standard deviation. All other coordinates and
        attributes are the start's.
    """
    xr = xarray_module()
    name = str(found.start.name or "field")
    offset = _ZERO_CELSIUS if found.units is FieldUnits.KELVIN else 0.0
    dtype = found.start.dtype if found.start.dtype.kind == "f" else np.dtype(np.float32)
    back = np.argsort(found.columns)
    order = [str(d) for d in found.start.dims]
    coordinates = {
        key: value for key, value in found.start.coords.items() if key not in ("time", "member")
    }
    times = [found.time_at(f) for f in frames.fractions]

    def in_units(values: Any) -> Any:
        """In the caller's units; the ends are the caller's own numbers, not converted twice."""
        converted = values + offset
        for index, fraction in enumerate(frames.fractions):
            if fraction in (0, 1):
                end = found.end if fraction else found.start
                own = end.transpose(found.latitude, found.longitude).values
                converted[..., index, :, :] = own[:, found.columns]
        return converted

    def variable(values: Any, leading: list[str], extra: dict[str, str]) -> Any:
        array = xr.DataArray(
            values[..., back].astype(dtype), dims=[*leading, found.latitude, found.longitude]
        ).transpose(*leading, *order)
        array.attrs = {**found.start.attrs, **extra}
        return array

    given = str(found.start.attrs.get("long_name", name))
    fields = {
        name: variable(in_units(frames.mean), ["time"], {}),
        f"{name}_member": variable(
            in_units(frames.members.astype(dtype)),
            ["member", "time"],
            {"long_name": f"{given}, ensemble members"},
        ),
        f"{name}_spread": variable(
            frames.spread, ["time"], {"long_name": f"{given}, standard deviation of the ensemble"}
        ),
    }
    fields[f"{name}_spread"].attrs.pop("standard_name", None)
    # Kelvin and degree Celsius are one size; a spread in degC would be read with an offset.
    fields[f"{name}_spread"].attrs["units"] = "K"
    for each in (name, f"{name}_member"):
        fields[each].attrs.setdefault("units", str(found.units))
    return xr.Dataset(
        fields,
        coords={**coordinates, "time": ("time", times), "member": np.arange(len(frames.members))},
    )


def _field(source: Source, variable: str | None, which: str) -> "xarray.DataArray":
    xr = xarray_module()
    if isinstance(source, xr.DataArray):
        return source.squeeze()
    fields = {
        str(key): value
        for key, value in source.data_vars.items()
        if value.squeeze().ndim >= 2 and value.dtype.kind in "fiu"
    }
    if variable is None and len(fields) == 1:
        variable = next(iter(fields))
    if variable not in fields:
        known = ", ".join(sorted(fields)) or "none"
        raise InvalidInputError(
            f"the {which} has the fields {known}: say with `variable` which one is meant"
        )
    return fields[variable].squeeze()


def _axis(field: "xarray.DataArray", kind: str) -> str:
    """Name of a dimension, by its attributes or its name."""
    for name in map(str, field.dims):
        attributes = field[name].attrs if name in field.coords else {}
        units = str(attributes.get("units", "")).lower()
        if attributes.get("standard_name") == kind or units in (
            ("degrees_north", "degree_north")
            if kind == "latitude"
            else ("degrees_east", "degree_east")
        ):
            return name
    for name in map(str, field.dims):
        if name.lower() in _NAMES[kind] and name in field.coords:
            return name
    raise InvalidInputError(
        f"no dimension of {dict(field.sizes)} is a {kind}: it must have a coordinate of that name "
        "or standard_name; curvilinear grids must be brought to a rectilinear one first"
    )


def _eastwards(longitudes: Array) -> Any:
    """Order that makes longitudes rise once around, from where they begin."""
    steps = np.diff(longitudes)
    if (steps > 0).all() or len(longitudes) < 2:
        return np.arange(len(longitudes))
    # Either they wrap (…, 358, 0, …), which the grid unwraps, or they are out of order.
    if (steps % 360 <= 180).all():
        return np.arange(len(longitudes))
    return np.argsort(longitudes % 360, kind="stable")


def _units(field: "xarray.DataArray", values: Array, given: FieldUnits) -> FieldUnits:
    written = str(field.attrs.get("units", "")).strip().lower()
    for unit, names in _UNITS.items():
        if written in names:
            return unit
    if written and given is FieldUnits.AUTO:
        raise InvalidInputError(
            f"the field's units are {field.attrs['units']!r}; the model knows temperature in K or "
            "degC"
        )
    return guess_units(values) if given is FieldUnits.AUTO else given


def guess_units(values: Array) -> FieldUnits:
    """Kelvin where the median is above 150."""
    finite = values[np.isfinite(values)]
    warm = len(finite) and float(np.median(finite)) > 150
    return FieldUnits.KELVIN if warm else FieldUnits.CELSIUS


def _time(field: "xarray.DataArray", given: datetime | None, which: str) -> Any:
    if given is not None:
        offset = given.utcoffset()
        naive = given if offset is None else (given - offset).replace(tzinfo=None)
        return np.datetime64(naive, "ns")
    if "time" in field.coords and field["time"].ndim == 0:
        moment = field["time"].values[()]
        if isinstance(moment, np.datetime64) and not np.isnat(moment):
            return moment
        if hasattr(moment, "hour"):
            return moment
    raise InvalidInputError(
        f"the {which} has no time that can be read: give {which}_time, in UTC, such as "
        "2001-01-01T06:00"
    )


def _hour(moment: Any) -> float:
    if isinstance(moment, np.datetime64):
        day = moment.astype("datetime64[D]")
        return float((moment - day) / np.timedelta64(1, "s")) / 3600
    return float(moment.hour + moment.minute / 60 + moment.second / 3600)


def _span(start: Any, end: Any) -> float:
    if isinstance(start, np.datetime64) != isinstance(end, np.datetime64):
        raise InvalidInputError("start and end follow different calendars")
    try:
        between = end - start
    except (TypeError, ValueError) as error:
        raise InvalidInputError("start and end follow different calendars") from error
    if isinstance(between, np.timedelta64):
        return float(between / np.timedelta64(1, "s")) / 3600
    return float(between.total_seconds()) / 3600


def _later(start: Any, hours: float) -> Any:
    seconds = round(hours * 3600)
    if isinstance(start, np.datetime64):
        return start + np.timedelta64(seconds, "s")
    return start + timedelta(seconds=seconds)

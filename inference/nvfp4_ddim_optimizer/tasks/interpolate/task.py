"""The task as the server, batches and the command line run it: files in, files and a report out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

import numpy as np

from nvfp4_ddim_contracts.tasks import TaskSpec
from nvfp4_ddim_contracts.tasks.interpolate import (
    SPEC,
    FieldUnits,
    FrameFormat,
    InterpolateParameters,
    InterpolateReport,
)
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.base import OutputFile, RunOptions, Task, TaskOutput

from .arrays import array_states, even_fractions
from .climate import Array, ClimateInterpolator, Frames, States
from .datasets import DatasetStates, frames_to_dataset, guess_units, read_states
from .preview import animation, field_pictures
from .reading import dataset_bytes, npy_bytes, open_dataset, read_array, sniff

__all__ = ["InterpolateTask"]

_ZERO_CELSIUS = 273.15
_LONGEST_SPAN_SEEN = 24.0
_SHORTEST_SPAN_SEEN = 12.0
# Root mean square over the area; the training data's ends lie near 2 K, fields of another season
# far above.
_FAMILIAR_ANOMALY = 6.0


@dataclass(frozen=True)
class _Given:
    """The two states, and what their files said of them."""

    states: States
    units: FieldUnits
    times: tuple[str, ...]
    dataset: DatasetStates | None


class InterpolateTask(Task[InterpolateParameters, InterpolateReport]):
    """Frames between two fields of surface temperature."""

    spec: ClassVar[TaskSpec] = SPEC

    def __init__(self, model: TaskModel) -> None:
        """Check and take the components.

        Raises:
            ModelNotSupportedError: The model is none that interpolates fields.
        """
        super().__init__(model)
        self.interpolator = ClimateInterpolator(model)

    def run(
        self, inputs: Mapping[str, bytes], parameters: InterpolateParameters, options: RunOptions
    ) -> TaskOutput[InterpolateReport]:
        """Interpolate between two files.

        Returns:
            The report, `frames.nc` (or `mean.npy`, `members.npy`) and `preview.webp`.

        Raises:
            InvalidInputError: A file can't be used, or says too little.
            GenerationCancelled: `should_cancel` said so.
        """
        fractions = even_fractions(parameters.num_steps)
        given = self._read(inputs["start"], inputs["end"], parameters, fractions)
        frames = self.interpolator.interpolate(
            given.states,
            fractions,
            members=parameters.members,
            num_inference_steps=options.num_inference_steps,
            seed=options.seed,
            conserve_mean=parameters.conserve_mean,
            on_step=options.on_step,
            should_cancel=options.should_cancel,
        )
        files = _frame_files(given, frames, parameters.frame_format)
        latitudes = given.states.grid.latitudes
        pictures = field_pictures(frames.mean, north_up=bool(latitudes[0] > latitudes[-1]))
        preview = OutputFile("preview.webp", "image/webp", animation(pictures))
        return TaskOutput(_report(given, frames), (*files, preview))

    def _read(
        self,
        start: bytes,
        end: bytes,
        parameters: InterpolateParameters,
        fractions: tuple[float, ...],
    ) -> _Given:
        kinds = {name: sniff(data) for name, data in (("start", start), ("end", end))}
        if kinds["start"] != kinds["end"]:
            raise InvalidInputError(
                f"the start is a {kinds['start']} file and the end a {kinds['end']} file: give two "
                "of one kind"
            )
        if kinds["start"] == "picture":
            raise InvalidInputError(
                "this model interpolates fields: give NetCDF or .npy files, or ask a text-to-image "
                "model such as emoji-64 for frames between pictures"
            )
        if kinds["start"] == "netcdf":
            found = read_states(
                open_dataset(start),
                open_dataset(end),
                variable=parameters.variable,
                units=parameters.units,
                start_time=parameters.start_time,
                end_time=parameters.end_time,
            )
            times = tuple(_iso(found.time_at(f)) for f in fractions)
            return _Given(found.states, found.units, times, found)
        return self._read_arrays(start, end, parameters, fractions)

    def _read_arrays(
        self,
        start: bytes,
        end: bytes,
        parameters: InterpolateParameters,
        fractions: tuple[float, ...],
    ) -> _Given:
        if parameters.start_time is None or parameters.end_time is None:
            raise InvalidInputError(".npy files carry no time: give start_time and end_time in UTC")
        first, last = (_utc(t) for t in (parameters.start_time, parameters.end_time))
        fields = read_array(start, "start"), read_array(end, "end")
        units = guess_units(fields[0]) if parameters.units is FieldUnits.AUTO else parameters.units
        states = array_states(
            *fields,
            start_time=first,
            end_time=last,
            units=units,
            model_grid=self.interpolator.grid,
            latitudes=parameters.latitudes,
            longitudes=parameters.longitudes,
        )
        times = tuple(
            (first + timedelta(hours=f * states.span_hours)).isoformat(timespec="seconds")
            for f in fractions
        )
        return _Given(states, units, times, None)


def _utc(moment: datetime) -> datetime:
    offset = moment.utcoffset()
    return moment if offset is None else (moment - offset).replace(tzinfo=None)


def _iso(moment: Any) -> str:
    """ISO 8601 to the second, of numpy's or cftime's."""
    if isinstance(moment, np.datetime64):
        return str(moment.astype("datetime64[s]"))
    return str(moment.isoformat())


def _frame_files(given: _Given, frames: Frames, wanted: FrameFormat) -> tuple[OutputFile, ...]:
    if wanted is FrameFormat.NETCDF and given.dataset is None:
        raise InvalidInputError("NetCDF frames need NetCDF states, whose coordinates they take")
    if given.dataset is not None and wanted is not FrameFormat.NPY:
        data = dataset_bytes(frames_to_dataset(given.dataset, frames))
        return (OutputFile("frames.nc", "application/netcdf", data),)
    offset = _ZERO_CELSIUS if given.units is FieldUnits.KELVIN else 0.0
    arrays = {"mean": frames.mean + offset, "members": frames.members + offset}
    return tuple(
        OutputFile(f"{name}.npy", "application/x-npy", npy_bytes(values.astype(np.float32)))
        for name, values in arrays.items()
    )


def _report(given: _Given, frames: Frames) -> InterpolateReport:
    states, notes = given.states, []
    weights = np.where(states.missing, 0.0, states.grid.area_weights())
    weights = weights / weights.sum() if weights.sum() else weights
    offset = _ZERO_CELSIUS if given.units is FieldUnits.KELVIN else 0.0

    def area_mean(field: Array) -> float:
        return float((np.where(states.missing, 0.0, field) * weights).sum())

    familiar = frames.anomaly_rms <= _FAMILIAR_ANOMALY
    if not familiar:
        notes.append(
            f"the states depart from the model's January climate by {frames.anomaly_rms:.1f} K: "
            "another season, height or quantity than it was trained on"
        )
    if not _SHORTEST_SPAN_SEEN <= states.span_hours <= _LONGEST_SPAN_SEEN:
        familiar = False
        notes.append(
            f"the states lie {states.span_hours:g} hours apart; the model was trained on 12 to 24"
        )
    return InterpolateReport(
        kind="field",
        fractions=list(frames.fractions),
        times=list(given.times),
        variable=str(given.dataset.start.name) if given.dataset is not None else None,
        units=str(given.units),
        members=len(frames.members),
        area_means=[area_mean(field) + offset for field in frames.mean],
        mean_spread=[area_mean(field**2) ** 0.5 for field in frames.spread],
        missing_cells=int(states.missing.sum()),
        anomaly_rms=frames.anomaly_rms,
        is_familiar=familiar,
        notes=notes,
    )

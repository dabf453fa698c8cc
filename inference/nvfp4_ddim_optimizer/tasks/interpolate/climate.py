"""Interpolation in time between two fields of surface temperature, with an ensemble.

    frame = linear + diurnal cycle + regression + sampled residual

The first three terms are the conditional mean of `regression`, to which the denoiser's prediction
at pure noise adds what it expects of the residual; a member of the ensemble is one DDIM sample of
it (the shape of CorrDiff, Mardani et al. 2023, arXiv:2309.15214). Everything is computed on the
model's grid and only the correction to linear interpolation is brought to the caller's: a field
keeps its own detail, and both ends are reproduced exactly.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from nvfp4_ddim_optimizer.diffusion import StepEvent
from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.base import RunOptions

from .climatology import HOURS_PER_DAY, Climatology
from .conditioning import UNSHUFFLE, condition, condition_channels, error_growth
from .ensemble import draw_ensemble
from .grid import Grid, covers, regrid
from .regression import Interval, Moment, feature_count, features
from .stretching import stretch

__all__ = ["MAX_VALUES", "ClimateInterpolator", "Frames", "States"]

Array = NDArray[np.float64]

_WARMEST, _COLDEST = 70.0, -110.0
_LARGEST_ANOMALY = 25.0
_MOST_DEVIATIONS = 4.0
MAX_VALUES = 100_000_000
"""Most values of an ensemble: 400 MB."""


@dataclass(frozen=True)
class States:
    """Two states of one field, and when and where they are.

    Attributes:
        start: [H, W] float64 in degrees Celsius; NaN where missing.
        end: The same, later.
        grid: Where the values lie.
        start_hour: Hour UTC of the start, in [0, 24).
        span_hours: Time between the two, in (0, 48].

    Raises:
        InvalidInputError: Shapes do not fit, a time is out of range, or the values are no
            temperatures.
    """

    start: Array
    end: Array
    grid: Grid
    start_hour: float
    span_hours: float

    def __post_init__(self) -> None:
        for name, field in (("start", self.start), ("end", self.end)):
            if field.shape != self.grid.shape:
                raise InvalidInputError(
                    f"the {name} has shape {field.shape}, its grid {self.grid.shape}"
                )
            finite = field[~np.isnan(field)]
            if not len(finite):
                raise InvalidInputError(f"the {name} has no value that is not missing")
            if finite.min() < _COLDEST or finite.max() > _WARMEST:
                raise InvalidInputError(
                    f"the {name} runs from {finite.min():.4g} to {finite.max():.4g} degrees "
                    "Celsius: the model knows temperatures near the surface only; say the units if "
                    "these are not in degC"
                )
        if not 0 <= self.start_hour < HOURS_PER_DAY:
            raise InvalidInputError(f"start_hour must lie in [0, 24), not {self.start_hour}")
        if not 0 < self.span_hours <= 48:
            raise InvalidInputError(
                f"the states lie {self.span_hours:g} hours apart: more than 0 and at most 48 hours "
                "can be bridged"
            )

    @property
    def missing(self) -> NDArray[np.bool_]:
        """[H, W]: missing at either end."""
        return np.isnan(self.start) | np.isnan(self.end)


@dataclass(frozen=True)
class Frames:
    """What lies between two states, on their grid, in degrees Celsius; NaN where one is missing.

    Attributes:
        fractions: [F] shares of the interval that are over.
        mean: [F, H, W] float64: the model's expectation.
        members: [M, F, H, W] float32: equally likely courses.
        anomaly_rms: Departure of the ends from the model's climate, in kelvins.
    """

    fractions: tuple[float, ...]
    mean: Array
    members: NDArray[np.float32]
    anomaly_rms: float

    @property
    def spread(self) -> Array:
        """[F, H, W]: standard deviation of the ensemble; 0 where there is one member."""
        if len(self.members) < 2:
            return np.where(np.isnan(self.mean), np.nan, 0.0)
        return np.asarray(self.members.astype(np.float64).std(axis=0, ddof=1))


class ClimateInterpolator:
    """A model that knows one field's diurnal cycle and how it departs from it."""

    def __init__(self, model: TaskModel) -> None:
        """Take the components of `climate-6h` or a model trained like it.

        Raises:
            ModelNotSupportedError: They are others.
        """
        self._unet = model.component("unet", "UNet2DModel")
        tables = model.component("tables", "Tables")
        self._diffusion = model.diffusion
        try:
            self.grid = Grid(
                tables["latitudes"].double().cpu().numpy(),
                tables["longitudes"].double().cpu().numpy(),
            )
            self._climatology = Climatology(tables["climatology"].float())
            self._coefficients = tables["coefficients"].float()
            self._scale = tables["scale"].float()
        except (AttributeError, InvalidInputError) as error:
            raise ModelNotSupportedError(f"the model's tables are not usable: {error}") from error
        self._latitudes = tables["latitudes"].float()
        self._longitudes = tables["longitudes"].float()
        self._expectation_weight = _number(model.options, "expectation_weight", 1.0)
        self._member_gains = _gains(model.options)
        self._check(model)

    def _check(self, model: TaskModel) -> None:
        shape = self.grid.shape
        channels = UNSHUFFLE**2 * (1 + condition_channels())
        if (
            shape != (model.native_height, model.native_width)
            or self._scale.shape != shape
            or self._climatology.fields.shape[1:] != shape
            or self._coefficients.shape != (feature_count(),)
            or self._unet.config["in_channels"] != channels
        ):
            raise ModelNotSupportedError("the model's tables and network do not fit together")

    def expected(self, states: States, fraction: float) -> Array:
        """The conditional mean of the regression alone: no denoiser, milliseconds.

        Args:
            states: The ends.
            fraction: Of the time between them, in [0, 1].

        Returns:
            [H, W] float64 on the states' grid, in degrees Celsius.
        """
        prepared = self._prepare(states)
        moment = self._moment(prepared, fraction)
        correction = (moment.diurnal + self._correction(moment)).double().numpy()
        found: Array = self._on_caller_grid(states, correction[None], (fraction,))[0]
        return found

    @torch.no_grad()
    def interpolate(
        self,
        states: States,
        fractions: Sequence[float],
        *,
        members: int = 4,
        num_inference_steps: int = 20,
        seed: int = 0,
        conserve_mean: bool = False,
        on_step: Callable[[StepEvent], None] | None = None,
        should_cancel: Callable[[], bool] | None = None,
    ) -> Frames:
        """Sample what lies between.

        A member has the same starting noise in every frame, so that it changes smoothly.

        Args:
            states: The ends.
            fractions: Shares of the interval, each in [0, 1].
            members: Size of the ensemble, at least 1.
            num_inference_steps: DDIM steps.
            seed: Member k uses seed + k.
            conserve_mean: Let the area mean of every frame lie on the line between the ends'.
            on_step: Called after each step of each batch.
            should_cancel: Asked before each step.

        Raises:
            InvalidInputError: A number is out of range.
            GenerationCancelled: `should_cancel` said so.
        """
        if members < 1 or not fractions or not all(0 <= f <= 1 for f in fractions):
            raise InvalidInputError("there must be a member, and fractions within [0, 1]")
        values = members * len(fractions) * states.start.size
        if values > MAX_VALUES:
            raise InvalidInputError(
                f"{members} members of {len(fractions)} frames of {states.start.size} cells are "
                f"{values} values; at most {MAX_VALUES} are made at once: ask for fewer members "
                "or frames"
            )
        prepared = self._prepare(states)
        moments = [self._moment(prepared, f) for f in fractions]
        corrections = [self._correction(moment) for moment in moments]
        conditions = torch.stack(
            [
                condition(moment, correction, self._scale, self._latitudes)
                for moment, correction in zip(moments, corrections, strict=True)
            ]
        )
        options = RunOptions(num_inference_steps, seed, on_step, should_cancel)
        samples, expectation = draw_ensemble(
            self._unet, self._diffusion, conditions, members, options
        )
        base = torch.stack([m.diurnal + c for m, c in zip(moments, corrections, strict=True)])
        growth = torch.tensor([error_growth(m) for m in moments])[:, None, None]
        units = growth * self._scale.cpu()
        # Weight and gains were fitted on a day that the denoiser was not trained on.
        departures = stretch(samples - expectation, self._member_gains)
        expectation = self._expectation_weight * expectation
        samples = expectation + departures
        mean = self._finish(states, base + units * expectation, fractions, conserve_mean)
        drawn = [
            self._finish(states, base + units * sample, fractions, conserve_mean).astype(np.float32)
            for sample in samples
        ]
        anomaly = 0.5 * (prepared.start - self._climatology.at(prepared.start_hour)).square()
        end_hour = prepared.start_hour + prepared.span_hours
        anomaly += 0.5 * (prepared.end - self._climatology.at(end_hour)).square()
        inside = torch.from_numpy(covers(states.grid, self.grid) * self.grid.area_weights()).float()
        departure = float((inside * anomaly).sum() / inside.sum().clamp_min(1e-9)) ** 0.5
        return Frames(tuple(fractions), mean, np.stack(drawn), departure)

    def _prepare(self, states: States) -> Interval:
        """The ends on the model's grid; where they are missing or beyond, the climate's mean."""
        inside = covers(states.grid, self.grid)
        fields = []
        for field, hours in ((states.start, 0.0), (states.end, states.span_hours)):
            usual = self._climatology.at(states.start_hour + hours)
            usual_there = regrid(usual.double().cpu().numpy(), self.grid, states.grid)
            anomaly = np.where(np.isnan(field), 0.0, field - usual_there)
            anomaly = np.where(inside, regrid(anomaly, states.grid, self.grid), 0.0)
            # Beyond what was ever seen, products of anomalies would run away.
            anomaly = np.clip(anomaly, -_LARGEST_ANOMALY, _LARGEST_ANOMALY)
            fields.append(usual + torch.from_numpy(anomaly).to(usual))
        return Interval(fields[0], fields[1], states.start_hour, states.span_hours)

    def _moment(self, interval: Interval, fraction: float) -> Moment:
        return Moment(interval, fraction, self._climatology, self._longitudes)

    def _correction(self, moment: Moment) -> Tensor:
        """The regression's part [H, W], no larger than a few deviations of its error."""
        weighted = torch.einsum("k,khw->hw", self._coefficients, features(moment))
        limit = _MOST_DEVIATIONS * self._scale * max(error_growth(moment), moment.bridge)
        return torch.maximum(torch.minimum(moment.bridge * weighted, limit), -limit)

    def _finish(
        self, states: States, corrections: Tensor, fractions: Sequence[float], conserve_mean: bool
    ) -> Array:
        """Corrections [F, H, W] on the model's grid to frames on the caller's."""
        frames = self._on_caller_grid(states, corrections.double().numpy(), fractions)
        return _conserved(frames, states, fractions) if conserve_mean else frames

    def _on_caller_grid(
        self, states: States, corrections: Array, fractions: Sequence[float]
    ) -> Array:
        """linear + corrections [..., F, H, W] on the model's grid -> [..., F, h, w]."""
        f = np.asarray(fractions)[:, None, None]
        frames = (1 - f) * states.start + f * states.end
        frames = frames + regrid(corrections, self.grid, states.grid)
        # Exactly, not but for rounding, and also where only the other end is missing.
        frames = np.where(f == 0, states.start, frames)
        return np.where(f == 1, states.end, frames)


def _number(options: Mapping[str, JsonValue], name: str, default: float) -> float:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 4:
        raise ModelNotSupportedError(f"the model's option {name!r} must be a number in [0, 4]")
    return float(value)


def _gains(options: Mapping[str, JsonValue]) -> list[float]:
    gains = options.get("member_gains", [1.0])
    if not isinstance(gains, list) or not 1 <= len(gains) <= 16:
        raise ModelNotSupportedError("the model's option 'member_gains' must be a list of numbers")
    return [_number({"member_gains": gain}, "member_gains", 1.0) for gain in gains]


def _conserved(fields: Array, states: States, fractions: Sequence[float]) -> Array:
    """Fields [..., F, H, W] shifted so that their area mean is linear in time."""
    weights = np.where(states.missing, 0.0, states.grid.area_weights())
    weights /= weights.sum()

    def mean(field: Array) -> Array:
        return np.asarray((np.where(states.missing, 0.0, field) * weights).sum((-2, -1)))

    f = np.asarray(fractions)
    wanted = (1 - f) * mean(states.start) + f * mean(states.end)
    shift = np.where((f > 0) & (f < 1), wanted - mean(fields), 0.0)
    return np.asarray(fields + shift[..., None, None])

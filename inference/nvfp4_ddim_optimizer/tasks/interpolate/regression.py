"""The conditional mean: linear in time, the diurnal cycle, and a regression on the anomalies.

With T_0, T_1 the end states, C(t) the mean diurnal cycle and f in [0, 1] the share of the interval
that is over, the field in between is taken to be

    (1 - f) T_0 + f T_1  +  D  +  b  sum_k w_k phi_k,        b = 4 f (1 - f),
    D = C(t) - (1 - f) C(t_0) - f C(t_1).

The features phi are the same functions at every place: the anomalies A_0 = T_0 - C(t_0) and
A_1 = T_1 - C(t_1), what is left of them at small scales, their products with the local solar time
and the amplitude of the place's diurnal cycle, and their gradients. At f = 0 and 1 nothing but the
end state remains.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .climatology import HOURS_PER_DAY, Climatology

__all__ = ["Interval", "Moment", "feature_count", "features"]

TRAINED_SPAN_HOURS = 12.0


@dataclass(frozen=True)
class Interval:
    """Two end states on the model's grid.

    Attributes:
        start: [H, W] float32, degrees Celsius.
        end: [H, W] float32, degrees Celsius.
        start_hour: Hour UTC of the first, in [0, 24).
        span_hours: Time between the two, above 0.
    """

    start: Tensor
    end: Tensor
    start_hour: float
    span_hours: float


@dataclass(frozen=True)
class Moment:
    """A time inside an interval, and what the climatology knows of it.

    Attributes:
        interval: The end states.
        fraction: f in [0, 1].
        climatology: The mean diurnal cycle.
        longitudes: [W] float32, degrees east.
    """

    interval: Interval
    fraction: float
    climatology: Climatology
    longitudes: Tensor

    @property
    def hour(self) -> float:
        """Hour UTC."""
        return self.interval.start_hour + self.fraction * self.interval.span_hours

    @property
    def bridge(self) -> float:
        """b: 0 at both ends, 1 in the middle."""
        return 4 * self.fraction * (1 - self.fraction)

    @property
    def linear(self) -> Tensor:
        """(1 - f) T_0 + f T_1, [H, W]."""
        return torch.lerp(self.interval.start, self.interval.end, self.fraction)

    @cached_property
    def start_anomaly(self) -> Tensor:
        """A_0, [H, W]."""
        return self.interval.start - self.climatology.at(self.interval.start_hour)

    @cached_property
    def end_anomaly(self) -> Tensor:
        """A_1, [H, W]."""
        hour = self.interval.start_hour + self.interval.span_hours
        return self.interval.end - self.climatology.at(hour)

    @cached_property
    def diurnal(self) -> Tensor:
        """D, [H, W]."""
        anomaly = torch.lerp(self.start_anomaly, self.end_anomaly, self.fraction)
        return self.climatology.at(self.hour) - (self.linear - anomaly)

    def solar_angle(self) -> Tensor:
        """Local solar time as an angle, [1, W]: 0 at midnight, pi at noon."""
        return 2 * math.pi * (self.hour / HOURS_PER_DAY + self.longitudes / 360)[None, :]


def features(moment: Moment) -> Tensor:
    """phi, [K, H, W] float32; K is `feature_count()`."""
    base = _base_features(moment)
    asymmetry = 2 * moment.fraction - 1
    stretch = (moment.interval.span_hours - TRAINED_SPAN_HOURS) / TRAINED_SPAN_HOURS
    return torch.cat([base, base * asymmetry, base * stretch])


def feature_count() -> int:
    """K."""
    flat = torch.zeros(2, 4)
    moment = Moment(Interval(flat, flat, 0.0, 12.0), 0.5, Climatology(flat[None]), flat[0])
    return len(features(moment))


def _base_features(moment: Moment) -> Tensor:
    diurnal, amplitude = moment.diurnal, moment.climatology.amplitude()
    mean = torch.lerp(moment.start_anomaly, moment.end_anomaly, moment.fraction)
    change = moment.end_anomaly - moment.start_anomaly
    land = torch.tanh(amplitude / 4)
    sun = moment.solar_angle().expand_as(land)
    suns = [torch.ones_like(sun), sun.cos(), sun.sin(), (2 * sun).cos(), (2 * sun).sin()]
    frost, thaw = torch.sigmoid(-moment.linear / 3), torch.exp(-((moment.linear / 3) ** 2))

    chosen = [diurnal, _smooth(diurnal, 1) - diurnal, _smooth(diurnal, 3) - diurnal]
    for field in (mean, change):
        rough, rougher = _smooth(field, 1) - field, _smooth(field, 4) - field
        for part in (field, rough, rougher):
            chosen += [part, part * frost * land, part * thaw * land]
            chosen += [part * wave * land for wave in suns]
        chosen += [field * diurnal / 5, field * amplitude / 5]
        chosen += [gradient * land for gradient in (_east(field), _south(field))]
    for product in (mean * mean, change * change, mean * change):
        chosen += [product * wave * land / 5 for wave in suns[:3]]
    chosen += [_east(diurnal), _south(diurnal), land * thaw, land * frost]
    chosen += [wave * scale for wave in suns for scale in (land, amplitude / 5)]
    return torch.stack(chosen)


def _padded(field: Tensor) -> Tensor:
    """One column and row more on each side: cyclic in longitude, repeated at the poles."""
    wide = torch.cat([field[..., -1:], field, field[..., :1]], dim=-1)
    return torch.cat([wide[..., :1, :], wide, wide[..., -1:, :]], dim=-2)


def _east(field: Tensor) -> Tensor:
    return (0.5 * (_padded(field)[..., 2:] - _padded(field)[..., :-2]))[..., 1:-1, :]


def _south(field: Tensor) -> Tensor:
    return (0.5 * (_padded(field)[..., 2:, :] - _padded(field)[..., :-2, :]))[..., :, 1:-1]


def _smooth(field: Tensor, times: int) -> Tensor:
    """Binomial 3 x 3 smoothing."""
    for _ in range(times):
        wide = _padded(field)
        rows = 0.25 * (wide[..., :-2, :] + 2 * wide[..., 1:-1, :] + wide[..., 2:, :])
        field = 0.25 * (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:])
    return field

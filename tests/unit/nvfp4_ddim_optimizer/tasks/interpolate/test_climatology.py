"""The diurnal cycle at any hour, and the terms of the conditional mean."""

import math

import pytest
import torch

from nvfp4_ddim_optimizer.tasks.interpolate import Climatology
from nvfp4_ddim_optimizer.tasks.interpolate.regression import (
    Interval,
    Moment,
    feature_count,
    features,
)

LONGITUDES = torch.linspace(-180, 168.75, 32)


def cosine(hour: float) -> torch.Tensor:
    return (3 + 2 * torch.cos(2 * math.pi * (hour / 24 + LONGITUDES / 360))).expand(4, 32)


@pytest.fixture
def climatology() -> Climatology:
    return Climatology(torch.stack([cosine(h) for h in (0, 6, 12, 18)]))


@pytest.mark.parametrize("hour", [0, 6, 12, 18, 3.5, 13.25, 23.9, 30])
def test_it_passes_through_its_fields_and_a_day_wave_between_them(
    climatology: Climatology, hour: float
) -> None:
    assert torch.allclose(climatology.at(hour), cosine(hour), atol=1e-5)


def test_the_amplitude_is_of_the_four_fields(climatology: Climatology) -> None:
    assert float(climatology.amplitude().max()) == pytest.approx(4, abs=1e-5)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 1.0])
def test_a_field_that_follows_the_cycle_is_continued_exactly(
    climatology: Climatology, fraction: float
) -> None:
    interval = Interval(cosine(6), cosine(18), 6.0, 12.0)
    moment = Moment(interval, fraction, climatology, LONGITUDES)
    assert torch.allclose(moment.linear + moment.diurnal, cosine(6 + 12 * fraction), atol=1e-5)
    assert float(moment.start_anomaly.abs().max()) < 1e-5


def test_features_turn_with_the_globe(climatology: Climatology) -> None:
    torch.manual_seed(0)
    start, end = torch.randn(2, 4, 32)
    moment = Moment(Interval(start, end, 6.0, 12.0), 0.5, climatology, LONGITUDES)
    turned = Moment(
        Interval(start.roll(5, -1), end.roll(5, -1), 6.0, 12.0),
        0.5,
        Climatology(climatology.fields.roll(5, -1)),
        LONGITUDES.roll(5),
    )
    assert features(moment).shape == (feature_count(), 4, 32)
    assert torch.allclose(features(turned), features(moment).roll(5, -1), atol=1e-4)

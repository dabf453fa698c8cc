"""What the training of climate-6h may learn from, and how."""

import numpy as np
import pytest
import torch

from nvfp4_ddim_optimizer.tasks.interpolate import gaussian_grid
from training.interpolate.calibrate import fit_gains
from training.interpolate.data import (
    EVALUATED,
    TRAINING_DAYS,
    Series,
    Triple,
    fields_of,
    triples,
)
from training.interpolate.regression import correct, fit


@pytest.fixture
def series() -> Series:
    """Seven days of a wave that follows the sun, a drift and noise."""
    grid = gaussian_grid(8, 16)
    hours = 6 * torch.arange(28)[:, None, None]
    longitudes = torch.from_numpy(grid.longitudes).float()
    wave = torch.cos(2 * np.pi * (hours / 24 + longitudes / 360))
    noise = torch.randn(28, 8, 16, generator=torch.Generator().manual_seed(0))
    return Series(5 * wave + 0.05 * hours + 0.3 * noise, grid)


def test_training_never_sees_a_field_held_out() -> None:
    held_out = {triple.target for triple in EVALUATED}
    assert held_out == set(range(20, 27))
    seen = {i for triple in triples(fields_of(TRAINING_DAYS)) for i in triple.fields()}
    assert seen == set(range(20))


def test_triples_lie_inside_what_is_allowed() -> None:
    without_day_two = [i for i in fields_of(range(5)) if i // 4 != 2]
    for triple in triples(without_day_two):
        assert set(triple.fields()) <= set(without_day_two)
        assert triple.span_hours in (12, 18, 24)
    assert Triple(0, 1, 4).fraction == 0.25


def test_the_climatology_ignores_the_target_and_the_drift(series: Series) -> None:
    allowed, triple = fields_of(TRAINING_DAYS), Triple(8, 9, 10)
    before = series.climatology(allowed, triple).fields
    disturbed = Series(series.fields.clone(), series.grid)
    disturbed.fields[9] += 100
    assert torch.allclose(disturbed.climatology(allowed, triple).fields, before)
    assert not torch.allclose(disturbed.climatology(allowed).fields, before, atol=1)
    disturbed.fields[20:] += 100
    assert torch.allclose(disturbed.climatology(allowed, triple).fields, before)
    # The wave's amplitude is 5; the drift of 1.2 K a day is no part of the cycle.
    cycle = series.climatology(allowed).fields
    assert float((cycle - cycle.mean(0)).abs().amax(0).mean()) == pytest.approx(5, rel=0.12)


def test_the_regression_is_better_than_the_cycle_alone(series: Series) -> None:
    allowed = fields_of(TRAINING_DAYS)
    coefficients, climatology = fit(series, allowed), series.climatology(allowed)
    errors = {"cycle": 0.0, "regression": 0.0}
    for triple in triples(allowed, (2,)):
        moment = series.moment(triple, climatology)
        rest = series.fields[triple.target] - moment.linear - moment.diurnal
        errors["cycle"] += float(rest.square().mean())
        errors["regression"] += float((rest - correct(moment, coefficients)).square().mean())
    assert errors["regression"] < errors["cycle"]


def test_gains_bring_departures_to_the_errors_power() -> None:
    generator = torch.Generator().manual_seed(0)
    errors = torch.randn(3, 8, 256, generator=generator)
    departures = 0.5 * torch.randn(6, 3, 8, 256, generator=generator)
    assert fit_gains(departures, errors, torch.ones(8, 256))[3:7] == pytest.approx([2] * 4, rel=0.2)

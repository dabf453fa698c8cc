"""Frames between two fields: ends, seeds, masks, grids, conservation, refusals."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nvfp4_ddim_optimizer.diffusion import StepEvent
from nvfp4_ddim_optimizer.errors import (
    GenerationCancelled,
    InvalidInputError,
    ModelNotSupportedError,
)
from nvfp4_ddim_optimizer.tasks.interpolate import ClimateInterpolator, Grid, States
from nvfp4_ddim_optimizer.tasks.interpolate.conditioning import fold, unfold
from nvfp4_ddim_optimizer.tasks.interpolate.stretching import gain_curve, knots, stretch

from .conftest import make_model

STEPS = 2


def test_both_ends_are_exact_and_every_member_differs_between(
    interpolator: ClimateInterpolator, states: States
) -> None:
    frames = interpolator.interpolate(
        states, (0, 0.3, 0.5, 1), members=3, num_inference_steps=STEPS
    )
    assert frames.mean.shape == (4, 16, 32)
    assert frames.members.shape == (3, 4, 16, 32)
    for index, end in ((0, states.start), (3, states.end)):
        assert np.array_equal(frames.mean[index], end)
        assert np.array_equal(frames.members[1, index], end.astype(np.float32))
        assert frames.spread[index].max() == 0
    assert frames.spread[1].min() > 0
    assert np.abs(frames.members[0, 1] - frames.members[1, 1]).max() > 0.01


def test_a_seed_gives_the_same_frames_and_member_k_is_seed_plus_k(
    interpolator: ClimateInterpolator, states: States
) -> None:
    def sample(seed: int, members: int) -> np.ndarray:
        found = interpolator.interpolate(
            states, (0.5,), members=members, num_inference_steps=STEPS, seed=seed
        )
        return found.members

    assert np.array_equal(sample(3, 2), sample(3, 2))
    # The network sees both together, but for rounding each alone.
    model_mean_differs = 0.2
    assert np.abs(sample(3, 2)[1] - sample(4, 1)[0]).max() < model_mean_differs


def test_the_expectation_is_weighted_and_the_members_are_stretched(states: States) -> None:
    plain = ClimateInterpolator(make_model(expectation_weight=0.0))
    wide = ClimateInterpolator(make_model(expectation_weight=0.0, member_gains=[2.0, 2.0]))
    expected = plain.expected(states, 0.5)
    one, two = (
        each.interpolate(states, (0.5,), members=2, num_inference_steps=STEPS)
        for each in (plain, wide)
    )
    assert np.allclose(one.mean[0], expected, atol=1e-5)
    assert np.allclose(two.spread, 2 * one.spread, atol=1e-4)


def test_gains_act_on_their_own_wavenumbers() -> None:
    assert knots(4) == [1, 2, 4, 8]
    assert torch.allclose(gain_curve([1.0, 3.0], 5), torch.tensor([1.0, 1.0, 3.0, 3.0, 3.0]))
    waves = torch.arange(32) * 2 * torch.pi / 32
    field = (waves.cos() + (4 * waves).cos()).expand(3, 16, 32)
    expected = (2 * waves.cos() + 0.5 * (4 * waves).cos()).expand(3, 16, 32)
    assert torch.allclose(stretch(field, [2.0, 1.0, 0.5]), expected, atol=1e-5)


def test_missing_values_stay_missing_and_disturb_nobody(
    interpolator: ClimateInterpolator, states: States
) -> None:
    start, end = states.start.copy(), states.end.copy()
    start[3, 4], end[9, 20] = np.nan, np.nan
    frames = interpolator.interpolate(
        replace(states, start=start, end=end), (0, 0.5, 1), num_inference_steps=STEPS
    )
    assert np.isnan(frames.mean[1]).sum() == 2
    assert np.isnan(frames.mean[1, 3, 4])
    assert np.isnan(frames.members[:, 1, 9, 20]).all()
    assert np.isnan(frames.mean[0]).sum() == np.isnan(frames.mean[2]).sum() == 1
    assert np.isfinite(frames.anomaly_rms)


def test_another_longitude_order_gives_the_same_field(
    interpolator: ClimateInterpolator, states: States
) -> None:
    turned = States(
        np.roll(states.start, 16, 1)[::-1],
        np.roll(states.end, 16, 1)[::-1],
        Grid(states.grid.latitudes[::-1].copy(), np.roll(states.grid.longitudes, 16) % 360),
        states.start_hour,
        states.span_hours,
    )
    one, two = (
        interpolator.interpolate(s, (0.5,), members=1, num_inference_steps=STEPS)
        for s in (states, turned)
    )
    assert np.allclose(np.roll(two.mean[0][::-1], -16, 1), one.mean[0], atol=1e-3)


@pytest.mark.parametrize(("rows", "columns", "west"), [(20, 36, 0.0), (64, 128, -180.0)])
def test_other_grids_keep_their_own_detail(
    interpolator: ClimateInterpolator, rows: int, columns: int, west: float
) -> None:
    grid = Grid(np.linspace(85, -85, rows), west + 360 * np.arange(columns) / columns)
    detail = np.random.default_rng(0).normal(size=(rows, columns))
    states = States(detail, detail, grid, 0.0, 12.0)
    frames = interpolator.interpolate(states, (0.5,), members=1, num_inference_steps=STEPS)
    assert frames.mean.shape == (1, rows, columns)
    # What was added is smooth at the scale of the model's cells, the detail is all there.
    rough = np.diff(frames.mean[0] - detail, axis=1)
    assert np.abs(rough).mean() < 0.5 * np.abs(np.diff(detail, axis=1)).mean()


def test_a_region_is_enough(interpolator: ClimateInterpolator) -> None:
    grid = Grid(np.linspace(60, 30, 10), np.linspace(-10, 40, 20))
    field = np.full(grid.shape, 5.0)
    frames = interpolator.interpolate(
        States(field, field + 1, grid, 18.0, 6.0), (0.5,), members=1, num_inference_steps=STEPS
    )
    assert np.isfinite(frames.mean).all()


def test_the_area_mean_is_conserved_when_asked(
    interpolator: ClimateInterpolator, states: States
) -> None:
    frames = interpolator.interpolate(
        states, (0, 0.25, 1), members=2, num_inference_steps=STEPS, conserve_mean=True
    )
    weights = states.grid.area_weights()
    means = [(weights * f).mean() for f in (states.start, frames.mean[1], states.end)]
    assert means[1] == pytest.approx(0.75 * means[0] + 0.25 * means[2], abs=1e-9)
    for member in frames.members[:, 1]:
        assert (weights * member).mean() == pytest.approx(means[1], abs=1e-4)


def test_progress_counts_all_batches_and_can_be_stopped(
    interpolator: ClimateInterpolator, states: States
) -> None:
    events: list[StepEvent] = []
    interpolator.interpolate(
        states, (0.2, 0.5, 0.7), members=4, num_inference_steps=3, on_step=events.append
    )
    assert [e.step for e in events] == list(range(1, 7))
    assert {e.total for e in events} == {6}
    with pytest.raises(GenerationCancelled):
        interpolator.interpolate(states, (0.5,), should_cancel=lambda: True)


def test_fields_far_from_the_climate_stay_finite_and_near_linear(
    interpolator: ClimateInterpolator, states: States
) -> None:
    hot = np.full_like(states.start, 65.0)
    frames = interpolator.interpolate(
        replace(states, start=hot, end=hot), (0.5,), members=1, num_inference_steps=STEPS
    )
    assert np.abs(frames.mean - 65).max() < 15
    assert frames.anomaly_rms > 15


def test_folding_is_undone_and_cyclic() -> None:
    field = torch.randn(2, 3, 16, 32)
    folded = fold(field)
    assert folded.shape == (2, 12, 8, 32)
    assert torch.equal(unfold(folded), field)
    assert torch.equal(folded[..., :8], folded[..., 16:24])  # the far side, beside the first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": np.full((16, 32), 290.0)}, "degC"),
        ({"start": np.full((16, 32), np.nan)}, "not missing"),
        ({"start": np.zeros((4, 4))}, "shape"),
        ({"start_hour": 24.0}, "start_hour"),
        ({"span_hours": 0.0}, "48 hours"),
        ({"span_hours": 49.0}, "48 hours"),
    ],
)
def test_unusable_states_are_refused(
    states: States, change: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        replace(states, **change)  # type: ignore[arg-type]


def test_a_fraction_outside_or_no_member_is_refused(
    interpolator: ClimateInterpolator, states: States
) -> None:
    for fractions, members in (((1.5,), 1), ((), 1), ((0.5,), 0)):
        with pytest.raises(InvalidInputError):
            interpolator.interpolate(states, fractions, members=members)


def test_an_ensemble_that_no_memory_holds_is_refused(
    interpolator: ClimateInterpolator, states: States
) -> None:
    with pytest.raises(InvalidInputError, match="fewer members or frames"):
        interpolator.interpolate(states, (0.5,) * 1000, members=1000)


def test_models_that_do_not_fit_are_refused() -> None:
    model = make_model()
    model.native_width = 64
    with pytest.raises(ModelNotSupportedError, match="do not fit"):
        ClimateInterpolator(model)
    with pytest.raises(ModelNotSupportedError, match="member_gains"):
        ClimateInterpolator(make_model(member_gains=[1.0, -1.0]))
    model = make_model()
    del model.components["tables"]
    with pytest.raises(ModelNotSupportedError, match="tables"):
        ClimateInterpolator(model)

"""The generative classifier."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nvfp4_ddim_optimizer.diffusion import BetaSchedule, NoiseSchedule, StepEvent, make_betas
from nvfp4_ddim_optimizer.errors import GenerationCancelled
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.analyze.prediction_errors import (
    class_errors,
    noise_levels,
    view,
    view_back,
)

SCHEDULE = NoiseSchedule.from_betas(make_betas(BetaSchedule.SCALED_LINEAR))


class Oracle:
    """Predicts v without error for one class, and everywhere else 0; knows the clean latents."""

    def __init__(self, clean: list[Tensor], label: int, left_only: bool = False) -> None:
        self.clean, self.label, self.left_only, self.calls = clean, label, left_only, 0

    def __call__(self, x: Tensor, t: Tensor, labels: Tensor, **_: Any) -> tuple[Tensor]:
        abar = SCHEDULE.alpha_cumprod(int(t[0]))
        clean = self.clean[self.calls % len(self.clean)]
        self.calls += 1
        noise = (x[0] - abar**0.5 * clean) / (1 - abar) ** 0.5
        v = abar**0.5 * noise - (1 - abar) ** 0.5 * clean
        wrong = torch.zeros_like(v)
        if self.left_only:
            wrong[..., 2:] = v[..., 2:]
        return (torch.stack([v if c == self.label else wrong for c in labels.tolist()]),)


def _run(unet: Any, clean: list[Tensor], **options: Any) -> Any:
    return class_errors(
        unet,
        clean,
        SCHEDULE,
        noise_levels(100, 700, 6),
        num_classes=3,
        generator=torch.Generator().manual_seed(0),
        local_until=700,
        levels_at_once=1,
        **options,
    )


@pytest.mark.parametrize("label", [0, 1, 2])
def test_the_class_that_predicts_best_has_the_lowest_error(label: int) -> None:
    clean = [torch.randn(5, 4, 4)]
    errors = _run(Oracle(clean, label), clean)
    assert int(errors.means.argmin()) == label
    assert errors.means[label] == pytest.approx(0, abs=1e-6)
    assert errors.means.mean() == pytest.approx(1, abs=1e-5)


def test_the_map_is_in_the_photos_position_whatever_the_view() -> None:
    clean = torch.randn(5, 4, 4)
    views = [view(clean, number) for number in range(8)]
    oracle = Oracle(views, 1)

    def half(x: Tensor, t: Tensor, labels: Tensor, **_: Any) -> tuple[Tensor]:
        """Wrong only in the upright photo's left half."""
        number = oracle.calls
        (predicted,) = oracle(x, t, labels)
        exact = predicted[1]
        upright = torch.stack([view_back(p, number) for p in predicted])
        upright[:, :, :, 2:] = view_back(exact, number)[:, :, 2:]
        return (torch.stack([view(p, number) for p in upright]),)

    maps = _run(half, views).maps
    assert maps[0, :, 2:] == pytest.approx(0, abs=1e-5)
    assert (maps[0, :, :2] > 0.1).all()


def test_steps_are_told_and_can_be_stopped() -> None:
    clean = [torch.randn(5, 4, 4)]
    events: list[StepEvent] = []
    _run(Oracle(clean, 0), clean, on_step=events.append)
    assert [(e.step, e.total) for e in events] == [(k, 6) for k in range(1, 7)]
    asked = SimpleNamespace(times=0)

    def stop() -> bool:
        asked.times += 1
        return asked.times > 2

    with pytest.raises(GenerationCancelled, match="2 of 6"):
        _run(Oracle(clean, 0), clean, should_cancel=stop)


def test_only_levels_of_little_noise_make_the_map(model: TaskModel) -> None:
    views = [torch.randn(6, 8, 8)]
    levels = noise_levels(100, 700, 4)

    def run(chosen: tuple[int, ...], until: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        if chosen != levels:  # skip the noise of the levels that are left out
            torch.randn(2, 6, 8, 8, generator=generator)
        unet = model.components["unet"]
        return class_errors(
            unet, views, SCHEDULE, chosen, num_classes=3, generator=generator, local_until=until
        ).maps

    torch.testing.assert_close(run(levels, 400, 1), run(levels[2:], 700, 1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("levels_at_once", [2, 4, 50])
def test_batches_of_levels_change_nothing(model: TaskModel, levels_at_once: int) -> None:
    views = [view(torch.randn(6, 8, 8), number) for number in range(8)]
    one, several = (
        class_errors(
            model.components["unet"],
            views,
            SCHEDULE,
            noise_levels(100, 700, 6),
            num_classes=3,
            generator=torch.Generator().manual_seed(0),
            local_until=400,
            levels_at_once=count,
        )
        for count in (1, levels_at_once)
    )
    torch.testing.assert_close(one.maps, several.maps, atol=1e-5, rtol=1e-4)


@given(st.integers(1, 60))
def test_levels_are_spread_inside_their_range(count: int) -> None:
    levels = noise_levels(100, 700, count)
    assert len(levels) == count
    assert list(levels) == sorted(set(levels), reverse=True)
    assert 100 <= levels[-1] <= levels[0] <= 700


@given(st.integers(0, 30))
def test_views_are_undone(number: int) -> None:
    latents = torch.arange(32.0).view(2, 4, 4)
    assert torch.equal(view_back(view(latents, number), number), latents)


def test_the_eight_views_differ() -> None:
    latents = torch.arange(16.0).view(1, 4, 4)
    assert len({tuple(view(latents, k).flatten().tolist()) for k in range(8)}) == 8

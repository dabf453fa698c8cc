from collections.abc import Callable

import pytest
from diffusers import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.diffusion import (
    TimestepPlan,
    TimestepSpacing,
    custom_timesteps,
    quadratic_timesteps,
    uniform_timesteps,
)
from nvfp4_ddim_optimizer.errors import InvalidInputError

counts = st.integers(1, 1000)


@given(count=counts, spacing=st.sampled_from(TimestepSpacing), offset=st.integers(0, 3))
def test_uniform_is_diffusers_choice_wherever_that_is_valid(
    count: int, spacing: TimestepSpacing, offset: int
) -> None:
    scheduler = DDIMScheduler(timestep_spacing=spacing.value, steps_offset=offset)
    scheduler.set_timesteps(count)
    expected = [int(t) for t in scheduler.timesteps]
    plan = uniform_timesteps(count, spacing=spacing, steps_offset=offset)
    if max(expected) < 1000 and min(expected) >= 0:
        assert list(plan.timesteps) == expected
    assert len(plan) == count
    assert all(0 <= t < 1000 for t in plan.timesteps)
    assert all(
        t - previous == 1000 // count
        for t, previous in zip(plan.timesteps, plan.previous, strict=True)
    )


@given(count=counts, total=st.integers(1, 1000))
def test_quadratic_gives_exactly_the_count_and_gets_denser_towards_clean(
    count: int, total: int
) -> None:
    count = min(count, total)
    plan = quadratic_timesteps(count, total)
    assert len(plan) == count
    assert list(plan.timesteps) == sorted(set(plan.timesteps), reverse=True)
    assert plan.previous == (*plan.timesteps[1:], -1)
    assert plan.timesteps[-1] == 0


def test_quadratic_follows_the_square_of_the_index() -> None:
    assert quadratic_timesteps(5).timesteps == (800, 450, 200, 50, 0)


def test_custom_leads_from_each_to_the_next() -> None:
    plan = custom_timesteps([999, 500, 7])
    assert plan.timesteps == (999, 500, 7)
    assert plan.previous == (500, 7, -1)


@pytest.mark.parametrize("count", [-1, 0, 1001])
@pytest.mark.parametrize("choose", [uniform_timesteps, quadratic_timesteps])
def test_refuses_counts_the_model_was_not_trained_for(
    choose: Callable[[int], TimestepPlan], count: int
) -> None:
    with pytest.raises(InvalidInputError, match=r"\[1, 1000\]"):
        choose(count)


@pytest.mark.parametrize(
    ("timesteps", "reason"),
    [
        ([], "num_inference_steps"),
        ([5, 5], "fall"),
        ([1, 2], "fall"),
        ([1000, 1], "999"),
        ([3, -1], "999"),
    ],
)
def test_refuses_custom_lists_that_go_nowhere(timesteps: list[int], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        custom_timesteps(timesteps)

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nvfp4_ddim_optimizer.diffusion import (
    Branch,
    classifier_free_guidance,
    guided_timesteps,
    needs_unconditional,
    uniform_timesteps,
)

X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
BOTH = (Branch.UNCONDITIONAL, Branch.CONDITIONAL)
COND = (Branch.CONDITIONAL,)


class Model:
    """Predicts x times a number of the branch's own, plus t."""

    def __init__(self) -> None:
        self.asked: list[tuple[Branch, ...]] = []

    def __call__(self, x: Tensor, t: int, branches: tuple[Branch, ...]) -> tuple[Tensor, ...]:
        self.asked.append(branches)
        return tuple(x * (3.0 if branch is Branch.CONDITIONAL else -0.5) + t for branch in branches)


def test_extrapolates_from_unconditional_to_conditional_in_one_call() -> None:
    model = Model()
    result = classifier_free_guidance(model, 7.5)(X, 3)
    assert model.asked == [BOTH]
    uncond, cond = Model()(X, 3, BOTH)
    torch.testing.assert_close(result, uncond + 7.5 * (cond - uncond))


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_skips_the_unconditional_pass_where_guidance_is_off(scale: float) -> None:
    model = Model()
    result = classifier_free_guidance(model, scale)(X, 3)
    assert not needs_unconditional(scale)
    assert model.asked == [COND]
    torch.testing.assert_close(result, Model()(X, 3, COND)[0])


def test_rescales_like_diffusers() -> None:
    plain = classifier_free_guidance(Model(), 5.0)(X, 3)
    rescaled = classifier_free_guidance(Model(), 5.0, guidance_rescale=0.7)(X, 3)
    expected = rescale_noise_cfg(plain, Model()(X, 3, COND)[0], guidance_rescale=0.7)
    torch.testing.assert_close(rescaled, expected)


def test_follows_the_prompt_alone_outside_of_the_interval() -> None:
    plan = uniform_timesteps(10, 1000)
    guided_at = guided_timesteps(plan, 4.0, (0.2, 0.75))
    model = Model()
    guided = classifier_free_guidance(model, 4.0, guided_at=guided_at)
    for t in plan.timesteps:
        guided(X, t)
    assert model.asked == [COND] * 2 + [BOTH] * 5 + [COND] * 3


@given(st.integers(1, 50), st.sampled_from([0.0, 1.0, 2.0, 7.5]))
def test_the_whole_interval_is_every_step_unless_guidance_is_off(steps: int, scale: float) -> None:
    plan = uniform_timesteps(steps, 1000)
    expected = set(plan.timesteps) if needs_unconditional(scale) else set()
    assert guided_timesteps(plan, scale) == expected
    assert guided_timesteps(plan, scale, (0.5, 0.5)) == frozenset()

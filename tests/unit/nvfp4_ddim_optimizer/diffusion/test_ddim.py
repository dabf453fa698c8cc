"""The sampler against diffusers' DDIMScheduler, and what only ours promises."""

import itertools

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from nvfp4_ddim_optimizer.diffusion import (
    DiffusionConfig,
    PredictionType,
    StepEvent,
    TimestepPlan,
    custom_timesteps,
    initial_noise,
    quadratic_timesteps,
    sample_ddim,
)
from nvfp4_ddim_optimizer.errors import GenerationCancelled, InvalidInputError

SHAPE = (4, 8, 8)


def model(x: Tensor, t: int) -> Tensor:
    """A smooth stand-in that depends on both of its arguments, bounded so that runs converge."""
    return torch.tanh(0.7 * x.roll(1, dims=-1) + 0.2 * x + 0.001 * t)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def sample_with_diffusers(
    scheduler: DDIMScheduler, x: Tensor, steps: int, eta: float, gens: list[torch.Generator]
) -> Tensor:
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, int(t)), int(t), x, eta=eta, generator=gens).prev_sample
    return x


def sample_ours(
    scheduler: DDIMScheduler, x: Tensor, steps: int, eta: float, gens: list[torch.Generator]
) -> Tensor:
    config = DiffusionConfig.from_diffusers(scheduler)
    return sample_ddim(
        model,
        x,
        config.schedule(),
        config.uniform_timesteps(steps),
        prediction_type=config.prediction_type,
        eta=eta,
        generators=gens,
        constrain_x0=config.x0_constraint(),
    )


def assert_same(scheduler: DDIMScheduler, steps: int, eta: float = 0.0) -> None:
    ours, theirs = generators(1, 2), generators(1, 2)
    x = initial_noise(SHAPE, ours, torch.device("cpu"))
    torch.testing.assert_close(x, initial_noise(SHAPE, theirs, torch.device("cpu")))
    expected = sample_with_diffusers(scheduler, x, steps, eta, theirs)
    actual = sample_ours(scheduler, x, steps, eta, ours)
    assert torch.isfinite(expected).all()
    torch.testing.assert_close(actual, expected, rtol=2e-4, atol=2e-4)


BETAS = {
    "linear": {"beta_schedule": "linear"},
    "stable-diffusion": {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "clip_sample": False,
    },
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}


@pytest.mark.parametrize("steps", [1, 2, 7, 10, 20, 50])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
def test_equals_diffusers_in_every_parametrisation(
    steps: int, spacing: str, prediction_type: str
) -> None:
    for betas, eta in itertools.product(BETAS.values(), (0.0, 0.4, 1.0)):
        scheduler = DDIMScheduler(
            **betas, timestep_spacing=spacing, prediction_type=prediction_type
        )
        assert_same(scheduler, steps, eta)


@pytest.mark.parametrize("steps", [999, 1000])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_equals_diffusers_at_nearly_all_timesteps(steps: int, eta: float) -> None:
    assert_same(DDIMScheduler(**BETAS["stable-diffusion"]), steps, eta)


@pytest.mark.parametrize("steps", [1, 7, 50])
@pytest.mark.parametrize("set_alpha_to_one", [True, False])
@pytest.mark.parametrize("steps_offset", [0, 1, 5])
def test_equals_diffusers_at_both_ends_of_the_schedule(
    steps: int, set_alpha_to_one: bool, steps_offset: int
) -> None:
    scheduler = DDIMScheduler(
        **BETAS["stable-diffusion"], set_alpha_to_one=set_alpha_to_one, steps_offset=steps_offset
    )
    assert_same(scheduler, steps)


@pytest.mark.parametrize("prediction_type", ["v_prediction", "sample"])
@pytest.mark.parametrize("steps", [1, 7, 20])
def test_equals_diffusers_from_pure_noise(prediction_type: str, steps: int) -> None:
    scheduler = DDIMScheduler(
        **BETAS["stable-diffusion"],
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        prediction_type=prediction_type,
    )
    assert_same(scheduler, steps, eta=0.5)


@pytest.mark.parametrize(
    "limits",
    [
        {"clip_sample": True, "clip_sample_range": 0.5},
        {"thresholding": True, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 1.7},
    ],
)
def test_equals_diffusers_with_x0_kept_in_range(limits: dict[str, float]) -> None:
    assert_same(DDIMScheduler(beta_schedule="linear", **limits), 20, eta=0.3)


def test_equals_diffusers_with_trained_betas() -> None:
    assert_same(DDIMScheduler(trained_betas=torch.linspace(1e-4, 0.03, 1000).tolist()), 10)


def test_a_thousand_steps_fit_where_diffusers_runs_past_the_end() -> None:
    config = DiffusionConfig(beta_schedule="scaled_linear", steps_offset=1)
    x = initial_noise(SHAPE, generators(3), torch.device("cpu"))
    result = sample_ddim(model, x, config.schedule(), config.uniform_timesteps(1000))
    assert torch.isfinite(result).all()


@pytest.mark.parametrize("plan", [quadratic_timesteps(12), custom_timesteps([900, 400, 399, 3])])
def test_a_model_that_knows_the_noise_recovers_the_picture(plan: TimestepPlan) -> None:
    """With the true eps, eq. 12 keeps x_t on the line between x_0 and eps at every step."""
    schedule = DiffusionConfig(beta_schedule="scaled_linear").schedule()
    clean, eps = torch.randn(2, 2, *SHAPE, generator=torch.Generator().manual_seed(0))
    abar = schedule.alpha_cumprod(plan.timesteps[0])
    x = abar**0.5 * clean + (1 - abar) ** 0.5 * eps
    result = sample_ddim(lambda _x, _t: eps, x, schedule, plan)
    torch.testing.assert_close(result, clean, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_an_image_of_a_batch_gets_the_noise_it_gets_alone(eta: float) -> None:
    config = DiffusionConfig(beta_schedule="scaled_linear")

    def run(*seeds: int) -> Tensor:
        gens = generators(*seeds)
        x = initial_noise(SHAPE, gens, torch.device("cpu"))
        plan = config.uniform_timesteps(5)
        return sample_ddim(model, x, config.schedule(), plan, eta=eta, generators=gens)

    together = run(7, 8, 9)
    torch.testing.assert_close(together[1], run(8)[0])
    assert not torch.allclose(together[0], together[1])


def test_reports_every_step_once() -> None:
    events: list[StepEvent] = []
    config = DiffusionConfig()
    x = torch.zeros(1, *SHAPE)
    sample_ddim(model, x, config.schedule(), config.uniform_timesteps(4), on_step=events.append)
    assert events == [StepEvent(step, 4) for step in (1, 2, 3, 4)]


def test_stops_between_steps_when_asked() -> None:
    calls: list[int] = []

    def counting(x: Tensor, t: int) -> Tensor:
        calls.append(t)
        return model(x, t)

    config = DiffusionConfig()
    with pytest.raises(GenerationCancelled, match="before step 4 of 10"):
        sample_ddim(
            counting,
            torch.zeros(1, *SHAPE),
            config.schedule(),
            config.uniform_timesteps(10),
            should_cancel=lambda: len(calls) == 3,
        )
    assert calls == [900, 800, 700]


@pytest.mark.parametrize("eta", [-0.1, 1.1, float("nan")])
def test_refuses_eta_out_of_range(eta: float) -> None:
    config = DiffusionConfig()
    with pytest.raises(InvalidInputError, match="eta"):
        sample_ddim(
            model, torch.zeros(1, *SHAPE), config.schedule(), config.uniform_timesteps(2), eta=eta
        )


def test_refuses_noise_without_a_generator_for_each_image() -> None:
    config = DiffusionConfig()
    with pytest.raises(InvalidInputError, match="each of the 2 images, not 1"):
        sample_ddim(
            model,
            torch.zeros(2, *SHAPE),
            config.schedule(),
            config.uniform_timesteps(2),
            eta=0.5,
            generators=generators(1),
        )


def test_refuses_an_epsilon_model_at_pure_noise() -> None:
    config = DiffusionConfig(rescale_betas_zero_snr=True, timestep_spacing="trailing")
    with pytest.raises(InvalidInputError, match="zero terminal SNR"):
        sample_ddim(model, torch.zeros(1, *SHAPE), config.schedule(), config.uniform_timesteps(2))


def test_refuses_timesteps_beyond_the_schedule() -> None:
    config = DiffusionConfig(num_train_timesteps=100)
    with pytest.raises(InvalidInputError, match="timestep 500"):
        sample_ddim(model, torch.zeros(1, *SHAPE), config.schedule(), custom_timesteps([500, 3]))


def test_prediction_types_cover_diffusers() -> None:
    assert {str(kind) for kind in PredictionType} == {"epsilon", "sample", "v_prediction"}

import pytest
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
    SchedulerMixin,
)

from nvfp4_ddim_optimizer.diffusion import DiffusionConfig, PredictionType, TimestepSpacing
from nvfp4_ddim_optimizer.errors import ModelNotSupportedError

BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


@pytest.mark.parametrize(
    "scheduler",
    [PNDMScheduler(**BETAS), EulerDiscreteScheduler(**BETAS), DPMSolverMultistepScheduler(**BETAS)],
)
def test_takes_the_noise_schedule_from_any_gaussian_scheduler(scheduler: SchedulerMixin) -> None:
    config = DiffusionConfig.from_diffusers(scheduler)
    abar = config.schedule().alphas_cumprod
    assert abar == pytest.approx(scheduler.alphas_cumprod, rel=1e-6)
    assert config.x0_constraint() is None


def test_reads_stable_diffusion_1_as_published() -> None:
    published = {
        "_class_name": "PNDMScheduler",
        "_diffusers_version": "0.6.0",
        **BETAS,
        "clip_sample": False,
        "num_train_timesteps": 1000,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "trained_betas": None,
    }
    config = DiffusionConfig.from_diffusers(PNDMScheduler.from_config(published))
    assert config.prediction_type is PredictionType.EPSILON
    assert config.timestep_spacing is TimestepSpacing.LEADING
    assert config.uniform_timesteps(50).timesteps[:2] == (981, 961)
    assert config.schedule().final_alpha_cumprod < 1


def test_clips_like_diffusers_when_a_ddim_config_does_not_say() -> None:
    assert DiffusionConfig.from_diffusers(DDIMScheduler(**BETAS)).x0_constraint() is not None
    unclipped = DDIMScheduler(**BETAS, clip_sample=False)
    assert DiffusionConfig.from_diffusers(unclipped).x0_constraint() is None


def test_refuses_flow_matching() -> None:
    with pytest.raises(ModelNotSupportedError, match="FlowMatchEulerDiscreteScheduler"):
        DiffusionConfig.from_diffusers(FlowMatchEulerDiscreteScheduler())


def test_names_what_is_unknown() -> None:
    with pytest.raises(ModelNotSupportedError, match="prediction_type"):
        DiffusionConfig.from_diffusers(DDIMScheduler(**BETAS, prediction_type="flow"))

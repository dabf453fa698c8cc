"""Noise schedules, timestep choices and the DDIM sampler: pure functions, any model.

schedule   abar_t from a table of betas
config     the same, and everything else, from a diffusers scheduler config
timesteps  which of the training timesteps a run visits
guidance   two predictions made one (classifier-free guidance)
ddim       the sampler
"""

from .config import DiffusionConfig
from .ddim import StepEvent, initial_noise, sample_ddim
from .guidance import (
    Branch,
    BranchModel,
    classifier_free_guidance,
    guided_timesteps,
    needs_unconditional,
)
from .schedule import BetaSchedule, NoiseSchedule, PredictionType, make_betas
from .timesteps import (
    TimestepPlan,
    TimestepSpacing,
    custom_timesteps,
    quadratic_timesteps,
    uniform_timesteps,
)

__all__ = [
    "BetaSchedule",
    "Branch",
    "BranchModel",
    "DiffusionConfig",
    "NoiseSchedule",
    "PredictionType",
    "StepEvent",
    "TimestepPlan",
    "TimestepSpacing",
    "classifier_free_guidance",
    "custom_timesteps",
    "guided_timesteps",
    "initial_noise",
    "make_betas",
    "needs_unconditional",
    "quadratic_timesteps",
    "sample_ddim",
    "uniform_timesteps",
]

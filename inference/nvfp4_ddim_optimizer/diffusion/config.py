"""What a diffusers scheduler config says about a model, whatever scheduler it was written for.

Models are published with the config of the sampler their authors liked (SD 1.5: PNDM, SD 2.1:
DDIM, others Euler or DPM-Solver). The noise schedule in it is the model's; only that and the
timestep spacing are used here.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from nvfp4_ddim_optimizer.errors import ModelNotSupportedError

from .ddim import X0Constraint
from .schedule import BetaSchedule, NoiseSchedule, PredictionType, make_betas
from .timesteps import TimestepPlan, TimestepSpacing, uniform_timesteps

__all__ = ["DiffusionConfig"]

# These two clip x_0 unless told not to; the other schedulers never do, and latents of an
# autoencoder are not bounded by 1.
_CLIPPING_SCHEDULERS = frozenset({"DDIMScheduler", "DDPMScheduler"})


class _Scheduler(Protocol):
    @property
    def config(self) -> Mapping[str, Any]: ...


class DiffusionConfig(BaseModel):
    """The part of a scheduler config that describes the model. Names are diffusers'."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    num_train_timesteps: int = Field(1000, ge=1)
    beta_start: float = Field(1e-4, gt=0, lt=1)
    beta_end: float = Field(0.02, gt=0, lt=1)
    beta_schedule: BetaSchedule = BetaSchedule.LINEAR
    trained_betas: tuple[float, ...] | None = None
    rescale_betas_zero_snr: bool = False
    set_alpha_to_one: bool = True
    prediction_type: PredictionType = PredictionType.EPSILON
    timestep_spacing: TimestepSpacing = TimestepSpacing.LEADING
    steps_offset: int = Field(0, ge=0)
    clip_sample: bool = False
    clip_sample_range: float = Field(1.0, gt=0)
    thresholding: bool = False
    dynamic_thresholding_ratio: float = Field(0.995, gt=0, le=1)
    sample_max_value: float = Field(1.0, ge=1)

    @classmethod
    def from_diffusers(cls, scheduler: _Scheduler) -> "DiffusionConfig":
        """Read a scheduler's config.

        Args:
            scheduler: Any diffusers scheduler, as in `pipeline.scheduler`.

        Raises:
            ModelNotSupportedError: The model is no discrete-time Gaussian diffusion model
                (flow matching, EDM), or its betas follow a schedule unknown here.
        """
        known = {key: value for key, value in scheduler.config.items() if value is not None}
        name = type(scheduler).__name__
        if "beta_schedule" not in known and "trained_betas" not in known:
            raise ModelNotSupportedError(
                f"{name} has no table of betas: only models of discrete-time Gaussian "
                "diffusion can be sampled with DDIM, not flow matching or EDM"
            )
        known.setdefault("clip_sample", name in _CLIPPING_SCHEDULERS)
        try:
            return cls.model_validate(known)
        except ValidationError as error:
            reasons = "; ".join(
                f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
            )
            raise ModelNotSupportedError(
                f"the scheduler config ({name}) can't be used with DDIM: {reasons}"
            ) from error

    def schedule(self) -> NoiseSchedule:
        """The model's noise schedule."""
        betas = (
            make_betas(self.beta_schedule, self.num_train_timesteps, self.beta_start, self.beta_end)
            if self.trained_betas is None
            else torch.tensor(self.trained_betas, dtype=torch.float32)
        )
        return NoiseSchedule.from_betas(
            betas,
            zero_terminal_snr=self.rescale_betas_zero_snr,
            set_alpha_to_one=self.set_alpha_to_one,
        )

    def uniform_timesteps(self, num_inference_steps: int) -> TimestepPlan:
        """Evenly spread timesteps in the model's own spacing.

        Raises:
            InvalidInputError: The count is not in [1, T].
        """
        return uniform_timesteps(
            num_inference_steps, self.num_train_timesteps, self.timestep_spacing, self.steps_offset
        )

    def x0_constraint(self) -> X0Constraint | None:
        """How predictions of x_0 are kept in range, or None where they are left alone."""
        if self.thresholding:
            return self._threshold
        if self.clip_sample:
            return lambda x0: x0.clamp(-self.clip_sample_range, self.clip_sample_range)
        return None

    def _threshold(self, x0: Tensor) -> Tensor:
        """Dynamic thresholding (Saharia et al. 2022, arXiv:2205.11487, sec. 2.3)."""
        s = torch.quantile(x0.flatten(1).abs(), self.dynamic_thresholding_ratio, dim=1)
        s = s.clamp(1, self.sample_max_value).view(-1, *[1] * (x0.ndim - 1))
        return x0.clamp(-s, s) / s

"""The DDIM sampler, from Song et al. 2021, "Denoising Diffusion Implicit Models".

A pure function of the model (any callable), the starting noise, the schedule and one random
generator for each image. Generators are on the CPU, so that a seed means the same noise on
every device, and one belongs to each image, so that image k of a batch gets the noise it would
get alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.errors import GenerationCancelled, InvalidInputError

from .schedule import NoiseSchedule, PredictionType
from .timesteps import TimestepPlan

__all__ = ["Model", "StepEvent", "X0Constraint", "initial_noise", "sample_ddim"]

Model = Callable[[Tensor, int], Tensor]
"""(x_t [B, C, H, W] float32, t) -> prediction of the same shape."""

X0Constraint = Callable[[Tensor], Tensor]
"""Brings a predicted x_0 back into the range that pictures have."""


@dataclass(frozen=True)
class StepEvent:
    """A step has finished.

    Attributes:
        step: How many steps are finished, from 1.
        total: How many there will be.
        x0: What the model takes the sample to be at this step, [B, C, H, W] float32, from which
            a preview can be made; no part of the event's identity.
    """

    step: int
    total: int
    x0: Tensor | None = field(default=None, compare=False, repr=False)


def initial_noise(
    shape: tuple[int, int, int], generators: Sequence[torch.Generator], device: torch.device
) -> Tensor:
    """x_T: standard normal noise, each image's from its own generator.

    Args:
        shape: (C, H, W) of one image's latent.
        generators: One CPU generator for each of B images; advanced by the call.
        device: Where the noise is put after it was drawn.

    Returns:
        [B, C, H, W] float32.
    """
    noise = [torch.randn(shape, generator=g, dtype=torch.float32) for g in generators]
    return torch.stack(noise).to(device)


def sample_ddim(
    model: Model,
    x: Tensor,
    schedule: NoiseSchedule,
    timesteps: TimestepPlan,
    *,
    prediction_type: PredictionType = PredictionType.EPSILON,
    eta: float = 0.0,
    generators: Sequence[torch.Generator] = (),
    constrain_x0: X0Constraint | None = None,
    on_step: Callable[[StepEvent], None] | None = None,
    should_cancel: Callable[[], bool] | None = None,
) -> Tensor:
    """Walk from noise to a sample.

    Args:
        model: The denoiser.
        x: x_T, [B, C, H, W] float32, standard normal.
        schedule: abar_t of the model's training.
        timesteps: The steps to take.
        prediction_type: What the model's output stands for.
        eta: 0 is the deterministic DDIM, 1 has the noise of DDPM.
        generators: One CPU generator for each image; needed where eta > 0.
        constrain_x0: Applied to every prediction of x_0.
        on_step: Called after each step.
        should_cancel: Asked before each step.

    Returns:
        x_0, [B, C, H, W] float32.

    Raises:
        InvalidInputError: eta is not in [0, 1], a generator is missing, or an epsilon model
            meets a timestep of pure noise.
        GenerationCancelled: `should_cancel` said so.

    Source: Song et al. 2021 (arXiv:2010.02502), eq. 12 and 16, with abar_t for their alpha_t.
    """
    _check_noise(eta, generators, x.shape[0])
    _check_start(schedule, timesteps, prediction_type)
    for index, (t, t_prev) in enumerate(
        zip(timesteps.timesteps, timesteps.previous, strict=True), start=1
    ):
        if should_cancel is not None and should_cancel():
            raise GenerationCancelled(f"stopped before step {index} of {len(timesteps)}")
        abar_t, abar_prev = schedule.alpha_cumprod(t), schedule.alpha_cumprod(t_prev)

        # 1. What the model takes x_0 and the noise to be.
        x0, eps = _split_prediction(model(x, t), x, abar_t, prediction_type)
        if constrain_x0 is not None:
            x0 = constrain_x0(x0)

        # 2. sigma_t(eta), eq. 16.
        variance = (1 - abar_prev) / (1 - abar_t) * (1 - abar_t / abar_prev)
        sigma = eta * math.sqrt(variance)

        # 3. x_{t-1}, eq. 12: predicted x_0, direction to x_t, random noise.
        direction = math.sqrt(max(1 - abar_prev - sigma**2, 0.0))
        x = math.sqrt(abar_prev) * x0 + direction * eps
        if eta > 0:
            noise = initial_noise((x.shape[1], x.shape[2], x.shape[3]), generators, x.device)
            x = x + sigma * noise

        if on_step is not None:
            on_step(StepEvent(index, len(timesteps), x0))
    return x


def _split_prediction(
    prediction: Tensor, x: Tensor, abar_t: float, prediction_type: PredictionType
) -> tuple[Tensor, Tensor]:
    """Solve x_t = sqrt(abar) x_0 + sqrt(1 - abar) eps for what the model did not predict."""
    signal, noise = math.sqrt(abar_t), math.sqrt(1 - abar_t)
    if prediction_type is PredictionType.EPSILON:
        return (x - noise * prediction) / signal, prediction
    if prediction_type is PredictionType.SAMPLE:
        return prediction, (x - signal * prediction) / noise
    # v-prediction: Salimans & Ho 2022 (arXiv:2202.00512), app. D.
    return signal * x - noise * prediction, signal * prediction + noise * x


def _check_noise(eta: float, generators: Sequence[torch.Generator], batch_size: int) -> None:
    if not 0 <= eta <= 1:
        raise InvalidInputError(f"eta must lie in [0, 1], not {eta}")
    if eta > 0 and len(generators) != batch_size:
        raise InvalidInputError(
            f"eta > 0 needs one generator for each of the {batch_size} images, "
            f"not {len(generators)}"
        )


def _check_start(
    schedule: NoiseSchedule, timesteps: TimestepPlan, prediction_type: PredictionType
) -> None:
    first = max(timesteps.timesteps)
    if first >= schedule.num_train_timesteps:
        raise InvalidInputError(
            f"timestep {first} lies outside the schedule's {schedule.num_train_timesteps} timesteps"
        )
    if prediction_type is PredictionType.EPSILON and schedule.alpha_cumprod(first) == 0:
        raise InvalidInputError(
            "an epsilon model can't start from pure noise (zero terminal SNR), since x_0 does "
            "not follow from the noise there: use a v-prediction model or leading timesteps"
        )

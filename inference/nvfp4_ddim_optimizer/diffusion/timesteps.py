"""Which of the T training timesteps a run of S steps visits, highest first.

Every plan pairs a timestep with the one the step leads to. A negative one is the clean picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = [
    "TimestepPlan",
    "TimestepSpacing",
    "custom_timesteps",
    "quadratic_timesteps",
    "uniform_timesteps",
]

_QUADRATIC_SPAN = 0.8  # Song et al. 2021, app. D.2: tau_i = c i^2 with the last near 0.8 T


class TimestepSpacing(StrEnum):
    """How uniform timesteps lie in [0, T), as in Lin et al. 2024, table 2."""

    LEADING = "leading"
    TRAILING = "trailing"
    LINSPACE = "linspace"


@dataclass(frozen=True)
class TimestepPlan:
    """The steps of a run.

    Attributes:
        timesteps: t of each step, strictly falling, in [0, T).
        previous: The timestep that each step leads to, lower than its t; negative = clean.
    """

    timesteps: tuple[int, ...]
    previous: tuple[int, ...]

    def __len__(self) -> int:
        """The number of steps."""
        return len(self.timesteps)


def uniform_timesteps(
    num_inference_steps: int,
    num_train_timesteps: int = 1000,
    spacing: TimestepSpacing = TimestepSpacing.LEADING,
    steps_offset: int = 0,
) -> TimestepPlan:
    """Evenly spread timesteps, the same as diffusers' DDIMScheduler visits.

    As there, a step always leads T // S timesteps down, also where rounding makes the next
    visited timestep differ from that by one. Where `steps_offset` would push the first timestep
    past the end (1000 steps of SD 1.5, where diffusers stops with an IndexError), the offset
    shrinks to what fits.

    Args:
        num_inference_steps: S in [1, T].
        num_train_timesteps: T.
        spacing: Where in [0, T) the timesteps lie.
        steps_offset: Added to every timestep of `LEADING`.

    Raises:
        InvalidInputError: S is not in [1, T].

    Source: Lin et al. 2024 (arXiv:2305.08891), table 2; diffusers DDIMScheduler.set_timesteps.
    """
    _check_count(num_inference_steps, num_train_timesteps)
    stride = num_train_timesteps // num_inference_steps
    if spacing is TimestepSpacing.LEADING:
        offset = min(steps_offset, num_train_timesteps - 1 - (num_inference_steps - 1) * stride)
        ascending = np.arange(num_inference_steps, dtype=np.float64) * stride + offset
    elif spacing is TimestepSpacing.LINSPACE:
        ascending = np.linspace(0, num_train_timesteps - 1, num_inference_steps).round()
    else:
        exact = num_train_timesteps / num_inference_steps
        descending = np.round(np.arange(num_train_timesteps, 0, -exact)) - 1
        # Rounding in arange may append one timestep more than asked for, just above 0.
        ascending = descending[:num_inference_steps][::-1]
    timesteps = tuple(int(t) for t in ascending[::-1])
    return TimestepPlan(timesteps, tuple(t - stride for t in timesteps))


def quadratic_timesteps(num_inference_steps: int, num_train_timesteps: int = 1000) -> TimestepPlan:
    """Timesteps tau_i = c i^2: dense near the clean picture, where details form.

    Rounding to whole timesteps makes neighbours meet at many steps; those are pushed up to the
    next free timestep, so that exactly S different ones come out.

    Args:
        num_inference_steps: S in [1, T].
        num_train_timesteps: T.

    Raises:
        InvalidInputError: S is not in [1, T].

    Source: Song et al. 2021 (arXiv:2010.02502), app. D.2.
    """
    _check_count(num_inference_steps, num_train_timesteps)
    top = max(_QUADRATIC_SPAN * num_train_timesteps, num_inference_steps - 1)
    exact = np.linspace(0, np.sqrt(top), num_inference_steps) ** 2
    ascending: list[int] = []
    for tau in exact.round().astype(int):
        ascending.append(max(int(tau), ascending[-1] + 1 if ascending else 0))
    overshoot = ascending[-1] - (num_train_timesteps - 1)
    if overshoot > 0:
        limits = range(num_train_timesteps - num_inference_steps, num_train_timesteps)
        ascending = [min(t, limit) for t, limit in zip(ascending, limits, strict=True)]
    return custom_timesteps(ascending[::-1], num_train_timesteps)


def custom_timesteps(timesteps: Sequence[int], num_train_timesteps: int = 1000) -> TimestepPlan:
    """Timesteps of the caller's choice; each step leads to the next one, the last to clean.

    Args:
        timesteps: Strictly falling, each in [0, T).
        num_train_timesteps: T.

    Raises:
        InvalidInputError: The list is empty, not strictly falling, or leaves [0, T).
    """
    _check_count(len(timesteps), num_train_timesteps)
    if not all(0 <= t < num_train_timesteps for t in timesteps):
        raise InvalidInputError(f"every timestep must lie in [0, {num_train_timesteps - 1}]")
    if any(later >= earlier for earlier, later in pairwise(timesteps)):
        raise InvalidInputError("timesteps must fall from each step to the next")
    return TimestepPlan(tuple(timesteps), (*timesteps[1:], -1))


def _check_count(num_inference_steps: int, num_train_timesteps: int) -> None:
    if not 1 <= num_inference_steps <= num_train_timesteps:
        raise InvalidInputError(
            f"num_inference_steps must lie in [1, {num_train_timesteps}] (the model was trained "
            f"on {num_train_timesteps} timesteps), not {num_inference_steps}"
        )

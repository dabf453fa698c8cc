r"""The forward process: how much signal, abar_t, is left at each training timestep.

x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps,   abar_t = prod_{s<=t} (1 - beta_s)

Song et al. 2021 (arXiv:2010.02502) write alpha_t for what is abar_t here and in DDPM.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = [
    "BetaSchedule",
    "NoiseSchedule",
    "PredictionType",
    "make_betas",
    "rescale_zero_terminal_snr",
]

_MAX_BETA = 0.999  # Nichol & Dhariwal 2021, sec. 3.2: keeps the last steps from being singular


class BetaSchedule(StrEnum):
    """How beta_t grows with t, by the names in diffusers' scheduler configs."""

    LINEAR = "linear"
    SCALED_LINEAR = "scaled_linear"
    SQUAREDCOS_CAP_V2 = "squaredcos_cap_v2"


class PredictionType(StrEnum):
    """What the model's output stands for.

    `EPSILON` is the noise, `SAMPLE` is x_0, and `V_PREDICTION` is
    v = sqrt(abar_t) eps - sqrt(1 - abar_t) x_0 (Salimans & Ho 2022, arXiv:2202.00512, app. D).
    """

    EPSILON = "epsilon"
    V_PREDICTION = "v_prediction"
    SAMPLE = "sample"


@dataclass(frozen=True)
class NoiseSchedule:
    """The table of abar_t, and what stands for abar before the first timestep.

    Attributes:
        alphas_cumprod: abar_t, [T] float32 in [0, 1], falling.
        final_alpha_cumprod: abar of the clean picture: 1, or abar_0 for models trained so.
    """

    alphas_cumprod: Tensor
    final_alpha_cumprod: float = 1.0

    @classmethod
    def from_betas(
        cls,
        betas: Tensor,
        *,
        zero_terminal_snr: bool = False,
        set_alpha_to_one: bool = True,
    ) -> "NoiseSchedule":
        """Multiply a table of betas up.

        Args:
            betas: beta_t, [T] float32 in [0, 1].
            zero_terminal_snr: Rescale so that abar_{T-1} = 0 (Lin et al. 2024).
            set_alpha_to_one: Whether the last step ends at abar = 1 rather than at abar_0.
        """
        if zero_terminal_snr:
            betas = rescale_zero_terminal_snr(betas)
        alphas_cumprod = torch.cumprod(1.0 - betas, dim=0)
        final = 1.0 if set_alpha_to_one else float(alphas_cumprod[0])
        return cls(alphas_cumprod, final)

    @property
    def num_train_timesteps(self) -> int:
        """T, the number of timesteps the model was trained on."""
        return self.alphas_cumprod.numel()

    def alpha_cumprod(self, t: int) -> float:
        """abar_t; any negative t means the clean picture."""
        return self.final_alpha_cumprod if t < 0 else float(self.alphas_cumprod[t])


def make_betas(
    schedule: BetaSchedule,
    num_train_timesteps: int = 1000,
    beta_start: float = 1e-4,
    beta_end: float = 0.02,
) -> Tensor:
    """Tabulate beta_t as diffusers does, so that a model meets the noise it was trained on.

    Args:
        schedule: Linear in beta, linear in sqrt(beta) (latent diffusion), or cosine.
        num_train_timesteps: T.
        beta_start: beta_0; not used by the cosine schedule.
        beta_end: beta_{T-1}; not used by the cosine schedule.

    Returns:
        [T] float32.

    Source: Ho et al. 2020, sec. 4; Rombach et al. 2022; Nichol & Dhariwal 2021, eq. 17.
    """
    if schedule is BetaSchedule.LINEAR:
        return torch.linspace(beta_start, beta_end, num_train_timesteps, dtype=torch.float32)
    if schedule is BetaSchedule.SCALED_LINEAR:
        roots = (math.sqrt(beta_start), math.sqrt(beta_end))
        return torch.linspace(*roots, num_train_timesteps, dtype=torch.float32) ** 2
    return torch.tensor(_cosine_betas(num_train_timesteps), dtype=torch.float32)


def _cosine_betas(num_train_timesteps: int) -> Sequence[float]:
    def alpha_bar(fraction: float) -> float:
        return math.cos((fraction + 0.008) / 1.008 * math.pi / 2) ** 2

    return [
        min(
            1 - alpha_bar((t + 1) / num_train_timesteps) / alpha_bar(t / num_train_timesteps),
            _MAX_BETA,
        )
        for t in range(num_train_timesteps)
    ]


def rescale_zero_terminal_snr(betas: Tensor) -> Tensor:
    """Shift and scale sqrt(abar_t) so that it ends at exactly 0 and starts where it did.

    Args:
        betas: [T] float32, T >= 2.

    Raises:
        InvalidInputError: There are fewer than two betas.

    Source: Lin et al. 2024 (arXiv:2305.08891), algorithm 1.
    """
    if betas.numel() < 2:
        raise InvalidInputError("a zero-terminal-SNR schedule needs at least 2 training timesteps")
    sqrt_abar = torch.cumprod(1.0 - betas, dim=0).sqrt()
    first, last = sqrt_abar[0].clone(), sqrt_abar[-1].clone()
    abar = ((sqrt_abar - last) * (first / (first - last))) ** 2
    return 1.0 - torch.cat([abar[:1], abar[1:] / abar[:-1]])

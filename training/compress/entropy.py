"""The entropy model in floating point, as it is trained.

A hyperprior (Ballé et al. 2018) and contexts: the latent's channels come in groups, the
positions of a group in stages, and mean and scale of a stage follow from the hyper-latent, from
the groups before it and from the stages before it (Minnen & Singh 2020; He et al. 2021). The
library runs the same networks in whole numbers.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvfp4_ddim_optimizer.tasks.compress.stages import (
    GROUPS,
    HYPER_CHANNELS,
    HYPER_FACTOR,
    STAGES,
    Stage,
    stage_mask,
)

__all__ = ["SCALE_FLOOR", "THRESHOLDS", "UNITS", "EntropyModel", "likelihood_bits"]

HYPER_WIDTH = 24
CONTEXT_WIDTH = 48
SCALE_FLOOR = 0.05
THRESHOLDS = (0.64, 0.57)
"""Where a magnitude below 1 rounds up to 1, and where in a unit larger ones do."""

# Low frequencies are large: contexts see them, and predict them, in these units.
UNITS = (4.0, 1.0, 1.0, 1.0)


def likelihood_bits(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Bits of whole numbers near x under a Laplace distribution integrated over unit intervals."""
    distance = (x - mean).abs()
    inner = distance.clamp(max=0.5)
    centre = 1 - 0.5 * (torch.exp((inner - 0.5) / scale) + torch.exp(-(inner + 0.5) / scale))
    outer = distance.clamp(min=0.5)
    tail_bits = (outer - 0.5) / scale / math.log(2) + 1 - torch.log2(-torch.expm1(-1 / scale))
    return torch.where(distance < 0.5, -torch.log2(centre.clamp_min(1e-9)), tail_bits)


def _round(difference: Tensor) -> Tensor:
    """As the encoder rounds: 0 is the cheapest symbol, and so small values fall to it earlier."""
    magnitude = difference.abs()
    steps = torch.where(
        magnitude < 1, (magnitude >= THRESHOLDS[0]).float(), (magnitude + 1 - THRESHOLDS[1]).floor()
    )
    return difference.sign() * steps


def _noise(x: Tensor) -> Tensor:
    return x + torch.rand_like(x) - 0.5


class EntropyModel(nn.Module):
    """Hyper-transforms and one small context network for each stage."""

    def __init__(self) -> None:
        super().__init__()
        channels = sum(GROUPS)
        self.hyper_analysis = nn.Sequential(
            nn.Conv2d(channels, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, HYPER_CHANNELS, 3, stride=2, padding=1),
        )
        self.hyper_mean = nn.Parameter(torch.zeros(HYPER_CHANNELS))
        self.hyper_scale = nn.Parameter(torch.zeros(HYPER_CHANNELS))
        self.hyper_synthesis = nn.Conv2d(HYPER_CHANNELS, HYPER_WIDTH, 3, padding=1)
        self.contexts = nn.ModuleList(self._context(stage) for stage in STAGES)
        # log2 of the deviation a channel has in the picture's units, over SCALE_FLOOR.
        self.log_deviation = nn.Parameter(torch.zeros(channels))

    @staticmethod
    def _context(stage: Stage) -> nn.Sequential:
        own = GROUPS[stage.group]
        seen = sum(GROUPS[: stage.group]) + (own if stage.index else 0)
        last = nn.Conv2d(CONTEXT_WIDTH, 2 * own, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return nn.Sequential(
            nn.Conv2d(HYPER_WIDTH + 1 + seen, CONTEXT_WIDTH, 3, padding=1), nn.ReLU(), last
        )

    def hyper(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The hyper-latent, rounded with a straight-through gradient, and its bits [B]."""
        z = self.hyper_analysis(y / 4)
        mean = self.hyper_mean.view(1, -1, 1, 1)
        scale = SCALE_FLOOR + F.softplus(self.hyper_scale).view(1, -1, 1, 1)
        bits = likelihood_bits(_noise(z), mean, scale).sum(dim=(1, 2, 3))
        return z + (z.round() - z).detach(), bits

    def features(self, z: Tensor, height: int, width: int) -> Tensor:
        """What every context sees of the hyper-latent, at the latent's resolution."""
        wide = F.interpolate(z, scale_factor=HYPER_FACTOR, mode="nearest")
        return F.relu(self.hyper_synthesis(wide[:, :, :height, :width]))

    def forward(self, y: Tensor, log_step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise.

        Args:
            y: [B, C, h, w] float32.
            log_step: [B] float32.

        Returns:
            Quantised latents with a straight-through gradient; bits of the latent [B]; bits of
            the hyper-latent [B].
        """
        z, hyper_bits = self.hyper(y)
        height, width = y.shape[2:]
        features = self.features(z, height, width)
        plane = log_step.view(-1, 1, 1, 1).expand(-1, 1, height, width)
        groups, bits = list(y.split(GROUPS, dim=1)), torch.zeros(len(y))
        flat = self.log_deviation - log_step[:, None] / math.log(2)
        bases = flat[:, :, None, None].split(GROUPS, dim=1)
        done: list[Tensor] = []
        for group, part in enumerate(groups):
            unit, quantised = UNITS[group], torch.zeros_like(part)
            seen = [q.detach() / UNITS[i] for i, q in enumerate(done)]
            for number, stage in enumerate(STAGES):
                if stage.group != group:
                    continue
                own = [quantised.detach() / unit] if stage.index else []
                inputs = torch.cat([features, plane, *seen, *own], dim=1)
                mean, log_scale = self.contexts[number](inputs).chunk(2, dim=1)
                mean = mean * unit
                log_scale = (log_scale + bases[group]).clamp(0, 10)
                scale = SCALE_FLOOR * torch.exp2(log_scale)
                mask = torch.from_numpy(stage_mask(stage, height, width)).float()
                stage_bits = likelihood_bits(_noise(part), mean, scale)
                bits = bits + (stage_bits * mask).sum(dim=(1, 2, 3))
                difference = part - mean
                rounded = part + (_round(difference) - difference).detach()
                quantised = quantised + rounded * mask
            done.append(quantised)
        return torch.cat(done, dim=1), bits, hyper_bits

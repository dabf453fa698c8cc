"""Draw several masks of an image by latent diffusion; their mean is the answer.

    image -> image encoder -> condition -┐
    noise ------------------------------ denoiser, DDIM -> latent of the mask -> decoder -> mask

The shape is that of MedSegLatDiff: diffusion over the latent of the mask, the latent of the image
as further channels. Each sample sees the image in another orientation.

A few samples are a noisy estimate of the mean of all. Two things make it less so:
- Not only the last x_0 is decoded but that of every step. Each is E[x_0 | x_t] and so has the same
  mean over trajectories, and the early ones spread less (Rao-Blackwell).
- The first channels of the image's latent are trained to be the mask's latent; decoded without any
  noise, that guess has a fixed share in the mean, the model's option `guess_weight`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvfp4_ddim_optimizer.diffusion import (
    DiffusionConfig,
    StepEvent,
    TimestepPlan,
    initial_noise,
    sample_ddim,
)
from nvfp4_ddim_optimizer.errors import ModelNotSupportedError
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.base import RunOptions

from .tiles import TilePlan, orient, orient_back

__all__ = ["MaskSampler", "Progress"]

_BATCH = 8
_SEED_STRIDE = 1_000_003  # a prime, so that seeds of neighbouring runs don't share tiles' noise


@dataclass
class Progress:
    """Steps over the whole run, however many slices and tiles it has.

    Attributes:
        total: Steps there will be.
        options: Whose callbacks are told.
        done: Steps finished.
    """

    total: int
    options: RunOptions
    done: int = 0

    def advance(self, event: StepEvent) -> None:
        """One step of one batch is finished."""
        self.done += 1
        if self.options.on_step is not None:
            self.options.on_step(StepEvent(self.done, self.total, event.x0))


class MaskSampler:
    """The networks, and how they make masks together."""

    def __init__(self, model: TaskModel) -> None:
        """Take a model's components.

        Raises:
            ModelNotSupportedError: A component is missing, of another class, or they don't fit.
        """
        self.image_encoder: Any = model.component("image_encoder", "ImageEncoder")
        self.mask_vae: Any = model.component("mask_vae", "MaskAutoencoder")
        self.unet: Any = model.component("unet", "UNet2DModel")
        self.diffusion: DiffusionConfig = model.diffusion
        self.schedule = self.diffusion.schedule()
        self.tile = model.native_height
        self.factor = int(self.mask_vae.config.factor)
        self.guess_weight = _fraction(model, "guess_weight")
        self.channels = int(self.mask_vae.config.latent_channels)
        condition = int(self.image_encoder.config.out_channels)
        if (
            self.unet.config.in_channels != self.channels + condition
            or self.unet.config.out_channels != self.channels
            or condition < self.channels
            or model.native_width != self.tile
            or self.tile % (4 * self.factor)
        ):
            raise ModelNotSupportedError(
                f"the denoiser takes {self.unet.config.in_channels} channels and gives "
                f"{self.unet.config.out_channels}, where the latents of mask and image have "
                f"{self.channels} and {condition}; tiles are {self.tile} x {model.native_width}"
            )

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.unet.parameters()).device  # type: ignore[no-any-return]

    def plan(self, height: int, width: int) -> TilePlan:
        """Tiles that cover an image."""
        return TilePlan.cover(height, width, self.tile)

    def batches(self, plan: TilePlan, samples: int) -> int:
        """How often DDIM runs for an image."""
        return -(-len(plan) * samples // _BATCH)

    @torch.inference_mode()
    def sample(
        self, image: NDArray[np.float32], samples: int, timesteps: TimestepPlan, progress: Progress
    ) -> NDArray[np.float32]:
        """Draw masks.

        Args:
            image: Normalised, [4, H, W] float32 in [-1, 1].
            samples: How many masks.
            timesteps: DDIM's.
            progress: Is told of every step; has the seed.

        Returns:
            Probability of the mask [H, W] float32: the mean over samples.

        Raises:
            GenerationCancelled: `should_cancel` said so.
        """
        plan = self.plan(*image.shape[1:])
        padded = plan.pad(image)
        size = tuple(padded.shape[1:])
        total, weights = (np.zeros(size, np.float32) for _ in range(2))
        weight = plan.weight()
        for jobs in _batched([(tile, k) for tile in range(len(plan)) for k in range(samples)]):
            tiles = [plan.cut(padded, plan.corners[tile]) for tile, _ in jobs]
            probability = self._run(tiles, jobs, timesteps, progress)
            for (tile, _), p in zip(jobs, probability, strict=True):
                top, left = plan.corners[tile]
                area = (slice(top, top + self.tile), slice(left, left + self.tile))
                total[area] += weight * p
                weights[area] += weight
        return (total / weights)[: plan.height, : plan.width]

    def _run(
        self,
        tiles: list[Tensor],
        jobs: list[tuple[int, int]],
        timesteps: TimestepPlan,
        progress: Progress,
    ) -> NDArray[np.float32]:
        """Probabilities [B, tile, tile] of a batch of tiles, in the tiles' own orientation."""
        views = torch.stack([orient(t, k) for t, (_, k) in zip(tiles, jobs, strict=True)])
        condition = self.image_encoder(views.to(self.device))
        seed = progress.options.seed
        generators = [
            torch.Generator().manual_seed((seed * _SEED_STRIDE + tile * 64 + k) % 2**63)
            for tile, k in jobs
        ]
        side = self.tile // self.factor
        votes = torch.zeros(len(jobs), 1, self.tile, self.tile, device=self.device)

        def vote(event: StepEvent) -> None:
            if event.x0 is not None:
                votes.add_(self._decode(event.x0))
            progress.advance(event)

        sample_ddim(
            lambda x, t: self.unet(torch.cat([x, condition], 1), t, return_dict=False)[0],
            initial_noise((self.channels, side, side), generators, self.device),
            self.schedule,
            timesteps,
            prediction_type=self.diffusion.prediction_type,
            constrain_x0=self.diffusion.x0_constraint(),
            on_step=vote,
            should_cancel=progress.options.should_cancel,
        )
        guess = self._decode(condition[:, : self.channels])
        mean = self.guess_weight * guess + (1 - self.guess_weight) * votes / len(timesteps)
        upright = [orient_back(p[0], k) for p, (_, k) in zip(mean.cpu(), jobs, strict=True)]
        return torch.stack(upright).numpy()

    def _decode(self, latent: Tensor) -> Tensor:
        """Probabilities [B, 1, tile, tile] float32."""
        return self.mask_vae.decode(latent).sigmoid().float()  # type: ignore[no-any-return]


def _fraction(model: TaskModel, name: str) -> float:
    """One of the model's options, a number in [0, 1]."""
    value = model.options.get(name)
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ModelNotSupportedError(f"the model's options state no {name} in [0, 1]")
    return float(value)


def _batched(jobs: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    for start in range(0, len(jobs), _BATCH):
        yield jobs[start : start + _BATCH]

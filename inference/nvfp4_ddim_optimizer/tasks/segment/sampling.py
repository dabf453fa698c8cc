"""Draw several masks of an image by latent diffusion: the mean is the answer, the rest is doubt.

    image -> image encoder -> condition -┐
    noise ------------------------------ denoiser, DDIM -> latent of the mask -> decoder -> mask

The shape is that of MedSegLatDiff: diffusion over the latent of the mask, the latent of the image
as further channels. Each sample sees the image in another orientation.
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
        self.channels = int(self.mask_vae.config.latent_channels)
        condition = int(self.image_encoder.config.out_channels)
        if (
            self.unet.config.in_channels != self.channels + condition
            or self.unet.config.out_channels != self.channels
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
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Draw masks.

        Args:
            image: Normalised, [4, H, W] float32 in [-1, 1].
            samples: How many masks.
            timesteps: DDIM's.
            progress: Is told of every step; has the seed.

        Returns:
            Mean [H, W] and variance [H, W] over samples of the probability of the mask, float32.

        Raises:
            GenerationCancelled: `should_cancel` said so.
        """
        plan = self.plan(*image.shape[1:])
        padded = plan.pad(image)
        size = tuple(padded.shape[1:])
        first, second, weights = (np.zeros(size, np.float32) for _ in range(3))
        weight = plan.weight()
        for jobs in _batched([(tile, k) for tile in range(len(plan)) for k in range(samples)]):
            tiles = [plan.cut(padded, plan.corners[tile]) for tile, _ in jobs]
            probability = self._run(tiles, jobs, timesteps, progress)
            for (tile, _), p in zip(jobs, probability, strict=True):
                top, left = plan.corners[tile]
                area = (slice(top, top + self.tile), slice(left, left + self.tile))
                first[area] += weight * p
                second[area] += weight * p * p
                weights[area] += weight
        mean = (first / weights)[: plan.height, : plan.width]
        variance = (second / weights)[: plan.height, : plan.width] - mean**2
        return mean, np.maximum(variance, 0)

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
        latent = sample_ddim(
            lambda x, t: self.unet(torch.cat([x, condition], 1), t, return_dict=False)[0],
            initial_noise((self.channels, side, side), generators, self.device),
            self.schedule,
            timesteps,
            prediction_type=self.diffusion.prediction_type,
            constrain_x0=self.diffusion.x0_constraint(),
            on_step=progress.advance,
            should_cancel=progress.options.should_cancel,
        )
        decoded = self.mask_vae.decode(latent).sigmoid()[:, 0].float().cpu()
        upright = [orient_back(p, k) for p, (_, k) in zip(decoded, jobs, strict=True)]
        return torch.stack(upright).numpy()


def _batched(jobs: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    for start in range(0, len(jobs), _BATCH):
        yield jobs[start : start + _BATCH]

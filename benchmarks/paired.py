"""Pictures of emoji-64 with and without shortcuts, of the same captions and seeds."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nvfp4_ddim_optimizer import OptimizationPipeline, StepEvent
from nvfp4_ddim_optimizer.metrics import psnr, ssim
from nvfp4_ddim_optimizer.shortcuts import Shortcuts
from training.captions import load_entries, sampling_weights
from training.common import load_images
from training.evaluate import features, load_feature_network, retrieval

__all__ = ["Errors", "Painted", "Painter"]

BATCH, SEED = 12, 1000


@dataclass(frozen=True)
class Painted:
    """Pictures [N, 3, H, W] uint8 and their latents [N, C, h, w] float32."""

    pictures: Tensor
    latents: Tensor


@dataclass(frozen=True)
class Errors:
    """Medians over pairs of pictures: PSNR in dB, SSIM, relative L2 distance of the latents."""

    psnr: float
    ssim: float
    latent: float


class Painter:
    """Paints captions that emoji-64 was trained on, chosen by lot."""

    def __init__(self, data: Path, captions: int) -> None:
        """Load the model, the captions and the drawings to compare with.

        Args:
            data: npz that `python -m training.emoji_data` makes.
            captions: How many.
        """
        self._pipeline = OptimizationPipeline.from_preset("emoji-64")
        entries = load_entries(data)
        weights = torch.from_numpy(sampling_weights(entries))
        generator = torch.Generator().manual_seed(0)
        self._wanted = torch.multinomial(weights, captions, generator=generator)
        self._prompts = [entries[index].phrases[0] for index in self._wanted.tolist()]
        self._network = load_feature_network()
        self._drawings = features(self._network, load_images(data))

    def paint(self, steps: int, shortcuts: Shortcuts) -> Painted:
        """One picture for each caption, at the model's own guidance."""
        pictures: list[Image.Image] = []
        latents: list[Tensor] = []

        def keep_last(event: StepEvent) -> None:
            if event.step == event.total and event.x0 is not None:
                latents.append(event.x0)

        for first in range(0, len(self._prompts), BATCH):
            batch = self._prompts[first : first + BATCH]
            pictures += self._pipeline.generate(
                batch,
                seed=[SEED + first + k for k in range(len(batch))],
                num_inference_steps=steps,
                cache_interval=shortcuts.cache_interval,
                guidance_interval=shortcuts.guidance_interval,
                token_merging_ratio=shortcuts.token_merging_ratio,
                on_step=keep_last,
            )
        stacked = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
        return Painted(stacked.permute(0, 3, 1, 2), torch.cat(latents))

    def shares_retrieved(self, painted: Painted) -> dict[str, float]:
        """How often the caption's own drawing is the nearest, or among the 10 nearest."""
        return retrieval(features(self._network, painted.pictures), self._drawings, self._wanted)

    @staticmethod
    def compare(exact: Painted, short: Painted) -> Errors:
        """How far pictures with shortcuts are from those without."""
        distance = (exact.latents - short.latents).flatten(1).norm(dim=1)
        return Errors(
            psnr=float(psnr(exact.pictures, short.pictures, 255).median()),
            ssim=float(ssim(exact.pictures, short.pictures, 255).median()),
            latent=float((distance / exact.latents.flatten(1).norm(dim=1)).median()),
        )

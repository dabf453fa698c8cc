"""Pictures of the same seeds, with and without something: how far apart are they?"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d

from nvfp4_ddim_optimizer import OptimizationPipeline, StepEvent
from nvfp4_ddim_optimizer.shortcuts import Shortcuts

__all__ = ["Errors", "compare", "paint", "ssim"]

BATCH, SEED = 24, 2000


@dataclass(frozen=True)
class Errors:
    """Against the same seeds without shortcuts: medians over pictures."""

    psnr: float
    ssim: float
    latent: float


def paint(
    pipeline: OptimizationPipeline, prompts: list[str], shortcuts: Shortcuts, steps: int
) -> tuple[Tensor, Tensor]:
    """Pictures [N, 3, H, W] and latents [N, C, h, w], float64."""
    pictures: list[Image.Image] = []
    latents: list[Tensor] = []

    def keep_last(event: StepEvent) -> None:
        if event.step == event.total and event.x0 is not None:
            latents.append(event.x0)

    for first in range(0, len(prompts), BATCH):
        batch = prompts[first : first + BATCH]
        pictures += pipeline.generate(
            batch,
            num_inference_steps=steps,
            seed=[SEED + first + k for k in range(len(batch))],
            cache_interval=shortcuts.cache_interval,
            guidance_interval=shortcuts.guidance_interval,
            token_merging_ratio=shortcuts.token_merging_ratio,
            on_step=keep_last,
        )
    stacked = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    return stacked.permute(0, 3, 1, 2).double(), torch.cat(latents).double()


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """[N] structural similarity of [N, C, H, W] in [0, 255].

    Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural
        similarity": Gaussian window of 11 pixels, sigma 1.5, K1 = 0.01, K2 = 0.03.
    """
    channels = first.shape[1]
    line = torch.exp(-((torch.arange(11, dtype=first.dtype) - 5) ** 2) / (2 * 1.5**2))
    window = torch.outer(line, line) / line.sum() ** 2
    window = window.expand(channels, 1, 11, 11)

    def mean(x: Tensor) -> Tensor:
        return conv2d(x, window, groups=channels)

    m1, m2 = mean(first), mean(second)
    v1, v2 = mean(first**2) - m1**2, mean(second**2) - m2**2
    both = mean(first * second) - m1 * m2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    quality = (2 * m1 * m2 + c1) * (2 * both + c2) / ((m1**2 + m2**2 + c1) * (v1 + v2 + c2))
    return quality.mean(dim=(1, 2, 3))


def compare(exact: tuple[Tensor, Tensor], short: tuple[Tensor, Tensor]) -> Errors:
    """Errors of pictures and latents."""
    noise = (exact[0] - short[0]).square().mean(dim=(1, 2, 3)).clamp(min=1e-3)
    distance = (exact[1] - short[1]).flatten(1).norm(dim=1) / exact[1].flatten(1).norm(dim=1)
    return Errors(
        psnr=float((10 * torch.log10(255**2 / noise)).median()),
        ssim=float(ssim(exact[0], short[0]).median()),
        latent=float(distance.median()),
    )

"""The original beside its artifact: how far apart are their layers, and a picture of each?"""

import gc
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from nvfp4_ddim_contracts import Preset
from nvfp4_ddim_contracts.incoming import QuantizationProblemCode
from nvfp4_ddim_optimizer.diffusion import StepEvent
from nvfp4_ddim_optimizer.metrics.images import psnr
from nvfp4_ddim_optimizer.pipeline import OptimizationPipeline
from nvfp4_ddim_optimizer.sources import load_diffusers, locate_full_precision
from nvfp4_ddim_optimizer.tasks import TextConditioner, TextToImageModel, generate_images

from .compare_weights import WorstLayer, compare_weights
from .errors import RefusedModelError

__all__ = ["Comparison", "compare_models"]

STEPS = 8
SEED = 20_240_229
_MAX_SIDE = 256
_EQUAL_DB = 100.0
_PEAK = 255.0


@dataclass(frozen=True)
class Comparison:
    """What the two pictures say."""

    psnr_db: float
    is_finite: bool
    prompt: str
    seed: int
    num_inference_steps: int
    height: int
    width: int


class _Watch:
    """Notes whether every step's latents were finite."""

    def __init__(self) -> None:
        self.is_finite = True

    def __call__(self, event: StepEvent) -> None:
        if event.x0 is not None and not bool(torch.isfinite(event.x0).all()):
            self.is_finite = False


def compare_models(
    original: Path, artifact: Path, *, prompt: str, guidance_scale: float
) -> tuple[WorstLayer | None, Comparison]:
    """Compare every layer, then paint with both on the CPU in float32, from the same noise.

    The picture is small, 256 pixels a side at most: it is a test, not to be looked at. The original
    is loaded once, and is gone before the artifact paints.

    Args:
        original: Diffusers directory.
        artifact: NVFP4 artifact made of it.
        prompt: What to paint.
        guidance_scale: Of classifier-free guidance.

    Returns:
        The layer with the largest error, None where nothing is quantised; what the pictures say.

    Raises:
        RefusedModelError: The original's own picture is not finite, or it has no such layers.
        NVFP4Error: One of them can't be loaded or run.
    """
    watch = _Watch()
    pipeline = load_diffusers(locate_full_precision(original))
    worst = compare_weights(pipeline.components, artifact)
    first, height, width = _paint_original(pipeline, prompt, guidance_scale, watch)
    del pipeline
    if not watch.is_finite:
        raise RefusedModelError(
            QuantizationProblemCode.NOT_FINITE,
            "The original model itself paints numbers that are infinite or not numbers.",
        )
    gc.collect()
    second = _paint_artifact(artifact, prompt, guidance_scale, (height, width), watch)
    distance = float(psnr(_pixels(first), _pixels(second), _PEAK))
    return worst, Comparison(
        psnr_db=_EQUAL_DB if math.isinf(distance) else min(distance, _EQUAL_DB),
        is_finite=watch.is_finite,
        prompt=prompt,
        seed=SEED,
        num_inference_steps=STEPS,
        height=height,
        width=width,
    )


def _paint_original(
    pipeline: Any, prompt: str, guidance_scale: float, watch: _Watch
) -> tuple[Image.Image, int, int]:
    model = TextToImageModel.from_diffusers(pipeline)
    for part in (model.text_encoder, model.unet, model.vae):
        part.eval()
    height, width = (_small(side, model.vae_factor) for side in model.native_size)
    (image,) = generate_images(
        model,
        TextConditioner(model.tokenizer, model.text_encoder, model.device),
        [prompt],
        [SEED],
        model.diffusion.uniform_timesteps(STEPS),
        guidance_scale=guidance_scale,
        height=height,
        width=width,
        on_step=watch,
    )
    return image, height, width


def _paint_artifact(
    directory: Path, prompt: str, guidance_scale: float, size: tuple[int, int], watch: _Watch
) -> Image.Image:
    # Nothing is left out under this preset, and the steps are the original's.
    pipeline = OptimizationPipeline.from_preset(directory, Preset.QUALITY)
    height, width = size
    return pipeline.generate(
        prompt,
        num_inference_steps=STEPS,
        guidance_scale=guidance_scale,
        height=height,
        width=width,
        seed=SEED,
        on_step=watch,
    )


def _small(side: int, factor: int) -> int:
    return max(factor, min(side, _MAX_SIDE) // factor * factor)


def _pixels(image: Image.Image) -> torch.Tensor:
    """[1, 3, H, W] uint8."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).unsqueeze(0)

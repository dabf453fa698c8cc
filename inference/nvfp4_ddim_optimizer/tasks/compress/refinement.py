"""Detail that the file does not hold: a diffusion model's guess, conditioned on the base.

The base and what is missing from it are seen through principal components of 8x8 blocks, so that
the UNet works at an eighth of the resolution. The noise comes from a seed in the file, and the
steps are DDIM's, without noise of their own: the same file gives the same detail. The model's
temperature is the noise's standard deviation: at 1 the detail is a sample, at 0 about what is to be
expected.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from nvfp4_ddim_optimizer.diffusion import StepEvent, initial_noise, sample_ddim
from nvfp4_ddim_optimizer.task_model import TaskModel

from .entropy_model import step_of

__all__ = ["DETAIL_BLOCK", "Refinement", "detail_condition"]

DETAIL_BLOCK = 8
_UNIT = 16
"""Sides of what the UNet sees are multiples of this many pixels: it halves its input once."""

_TILE = 512
_OVERLAP = 64


def detail_condition(base: Tensor, components: Tensor, log_step: Tensor) -> Tensor:
    """What the UNet sees beside the noise.

    Args:
        base: [B, 3, H, W] float32 in [-0.5, 0.5]; sides are multiples of 8.
        components: [K, 192], principal components of the base's blocks.
        log_step: [B], natural logarithm of the quantiser's step.

    Returns:
        [B, K + 1, H/8, W/8].
    """
    blocks = functional.pixel_unshuffle(base, DETAIL_BLOCK)
    seen = functional.conv2d(blocks, components[:, :, None, None])
    plane = log_step.view(-1, 1, 1, 1).expand(-1, 1, *seen.shape[2:])
    return torch.cat([seen, plane], dim=1)


class Refinement:
    """Adds detail to a base picture."""

    def __init__(self, model: TaskModel) -> None:
        """Take the components `refiner`, `detail` and `scheduler` of a model.

        Raises:
            ModelNotSupportedError: One is missing or of another class.
        """
        self._unet = model.component("refiner", "UNet2DModel")
        detail = model.component("detail", "Tables")
        self._base_components: Tensor = detail["base_components"]
        self._detail_components: Tensor = detail["detail_components"]
        self._detail_deviation: Tensor = detail["detail_deviation"]
        self._temperature: Tensor = detail["temperature"]
        self._diffusion = model.diffusion

    @torch.no_grad()
    def refine(
        self,
        base: Tensor,
        step_index: int,
        seed: int,
        num_inference_steps: int,
        *,
        on_step: Callable[[StepEvent], None] | None = None,
        should_cancel: Callable[[], bool] | None = None,
    ) -> Tensor:
        """Add detail.

        Args:
            base: [3, H, W] float32 in [-0.5, 0.5].
            step_index: Index of the quantiser's step.
            seed: Of the noise.
            num_inference_steps: DDIM steps.
            on_step: Called after each step.
            should_cancel: Asked before each step.

        Returns:
            [3, H, W] float32 in [-0.5, 0.5].

        Raises:
            GenerationCancelled: `should_cancel` said so.
        """
        height, width = base.shape[1:]
        padding = (0, -width % _UNIT, 0, -height % _UNIT)
        padded = functional.pad(base[None], padding, mode="replicate")
        log_step = torch.tensor([math.log(step_of(step_index))])
        condition = detail_condition(padded, self._base_components, log_step)
        shape = (len(self._detail_deviation), *condition.shape[2:])
        noise = initial_noise(shape, [torch.Generator().manual_seed(seed)], base.device)

        def predict(x: Tensor, t: int) -> Tensor:
            return _in_tiles(self._unet, torch.cat([x, condition], dim=1), t)

        detail = sample_ddim(
            predict,
            self._temperature * noise,
            self._diffusion.schedule(),
            self._diffusion.uniform_timesteps(num_inference_steps),
            prediction_type=self._diffusion.prediction_type,
            on_step=on_step,
            should_cancel=should_cancel,
        )
        # No pattern is missing from every block: what all have in common is the network's error.
        detail = detail - detail.mean(dim=(2, 3), keepdim=True)
        scaled = detail * (self._detail_deviation * log_step.exp())[None, :, None, None]
        blocks = functional.conv2d(scaled, self._detail_components.T[:, :, None, None])
        added = functional.pixel_shuffle(blocks, DETAIL_BLOCK)[0, :, :height, :width]
        return (base + added).clamp(-0.5, 0.5)


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    if length <= tile:
        return [0]
    last = length - tile
    return [*range(0, last, tile - overlap), last]


def _in_tiles(unet: torch.nn.Module, x: Tensor, t: int) -> Tensor:
    """The UNet's prediction; a large input goes through in tiles whose borders are blended."""
    tile, overlap = _TILE // DETAIL_BLOCK, _OVERLAP // DETAIL_BLOCK
    height, width = x.shape[2:]
    timestep = torch.tensor([t])
    if height <= tile and width <= tile:
        return unet(x, timestep, return_dict=False)[0]  # type: ignore[no-any-return]
    total: Tensor | None = None
    weights = torch.zeros(1, 1, height, width)
    for top in _starts(height, tile, overlap):
        for left in _starts(width, tile, overlap):
            part = x[:, :, top : top + tile, left : left + tile]
            result = unet(part, timestep, return_dict=False)[0]
            weight = _window(part.shape[2], overlap)[:, None] * _window(part.shape[3], overlap)
            if total is None:
                total = x.new_zeros(1, result.shape[1], height, width)
            area = (..., slice(top, top + tile), slice(left, left + tile))
            total[area] += result * weight
            weights[area] += weight
    if total is None:
        raise AssertionError("a picture has at least one tile")
    return total / weights


def _window(length: int, overlap: int) -> Tensor:
    """1 inside, falling towards both ends over the overlap, never 0."""
    distance = torch.arange(length) + 1
    nearest = torch.minimum(distance, length + 1 - distance)
    return (nearest / (overlap + 1)).clamp(max=1.0)

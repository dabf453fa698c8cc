"""From pixels to the latent and back: the floating-point half of the codec."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from nvfp4_ddim_optimizer.networks.codec_transforms import BLOCK

from .deblocking import smooth_borders
from .entropy_model import step_of
from .integer_network import Whole

__all__ = ["Transforms", "from_pixels", "model_id", "to_pixels"]

_TILE = 1024
_OVERLAP = 128
"""Large pictures go through the networks in tiles, whose borders see this much around them: more
than the networks' reach, so that tiles leave no seams."""


def to_pixels(picture: Tensor) -> NDArray[np.uint8]:
    """[3, H, W] float32 in [-0.5, 0.5] to [H, W, 3] uint8."""
    whole = picture.add(0.5).mul(255).round().clamp(0, 255).to(torch.uint8)
    return whole.permute(1, 2, 0).contiguous().numpy()


def from_pixels(image: Image.Image) -> Tensor:
    """RGB to [3, H, W] float32 in [-0.5, 0.5]."""
    pixels = torch.from_numpy(np.asarray(image.convert("RGB")).copy())
    return pixels.permute(2, 0, 1).float().div(255).sub(0.5)


def model_id(tables: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Four bytes of the SHA-256 of a model's tables: only they decide what a file means."""
    digest = hashlib.sha256()
    for name in sorted(tables):
        digest.update(f"{name} {tables[name].dtype} {tables[name].shape}".encode())
        digest.update(np.ascontiguousarray(tables[name]).astype("<i8").tobytes())
    return digest.digest()[:4]


def _log_step(step_index: int) -> Tensor:
    return torch.tensor([math.log(step_of(step_index))])


class Transforms:
    """The two networks and the hyper-analysis, on pictures of any size."""

    def __init__(self, analysis: Any, synthesis: Any, hyper_analysis: Any) -> None:
        """Args: analysis, synthesis, hyper_analysis: the model's networks."""
        self._analysis: nn.Module = analysis
        self._synthesis: nn.Module = synthesis
        self._hyper: nn.Module = hyper_analysis

    @torch.no_grad()
    def analyse(self, picture: Tensor, step_index: int) -> tuple[Whole, NDArray[np.int64]]:
        """Latent [C, h, w] in steps and hyper-latent [Z, ⌈h/4⌉, ⌈w/4⌉] of [3, H, W].

        A side that is no multiple of 16 is continued by its last row or column.
        """
        height, width = picture.shape[1:]
        bottom, right = -height % BLOCK, -width % BLOCK
        padded = nn.functional.pad(picture[None], (0, right, 0, bottom), mode="replicate")
        y = _in_tiles(
            lambda part: self._analysis(part, _log_step(step_index)), padded, BLOCK, 1 / BLOCK
        )
        z = self._hyper(y)[0].round()
        return y[0].double().numpy(), z.to(torch.int64).numpy()

    @torch.no_grad()
    def synthesise(self, latent: Whole, step_index: int, height: int, width: int) -> Tensor:
        """[3, height, width] float32 in [-0.5, 0.5] of a decoded latent [C, h, w]."""
        y = torch.from_numpy(latent)[None].float()
        picture = _in_tiles(
            lambda part: self._synthesis(part, _log_step(step_index)), y, 1, float(BLOCK)
        )
        smooth = smooth_borders(picture[0], step_of(step_index))
        return smooth[:, :height, :width].clamp(-0.5, 0.5)


def _in_tiles(network: Any, x: Tensor, unit: int, factor: float) -> Tensor:
    """Run a network over tiles and put the results together.

    Args:
        network: [1, C, H, W] to [1, D, factor * H, factor * W].
        x: [1, C, H, W].
        unit: Pixels of a latent position in x.
        factor: Size of the result over that of x.
    """
    tile, overlap = _TILE * unit // BLOCK, _OVERLAP * unit // BLOCK
    height, width = x.shape[2:]
    rows = []
    for top in range(0, height, tile):
        row = []
        for left in range(0, width, tile):
            above, before = max(0, top - overlap), max(0, left - overlap)
            bottom, right = min(height, top + tile), min(width, left + tile)
            part = x[:, :, above : bottom + overlap, before : right + overlap]
            result = network(part)
            start, first = round((top - above) * factor), round((left - before) * factor)
            down, across = round((bottom - top) * factor), round((right - left) * factor)
            row.append(result[:, :, start : start + down, first : first + across])
        rows.append(torch.cat(row, dim=3))
    return torch.cat(rows, dim=2)

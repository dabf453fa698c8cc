"""Choosing the scale of every block.

Error is measured in the weights: sum over the block of (w - code * block scale * global scale)^2.
"""

import torch
from torch import Tensor

from nvfp4_ddim_contracts import ScaleSearch

from .constants import (
    E2M1_MAX,
    E4M3_MAX,
    E4M3_MAX_BYTE,
    GLOBAL_SCALE_MAX,
    GLOBAL_SCALE_MIN,
    ROOMY_E4M3_MAX,
)
from .rounding import round_to_e2m1, round_to_e4m3

__all__ = ["SWEEP_STEPS", "block_reciprocals", "choose_block_scales", "choose_global_scale"]

# Around the byte of amax/6, in steps of one E4M3 number (an eighth of an octave). No scale outside
# can win. Above amax/3 every weight falls on codes up to 3, which half the scale has too, and finer
# ones between. Below amax/18 the largest weight's clipping error (amax - 6 scale)^2 exceeds
# 16 * (amax/6)^2, the most that all 16 weights can lose at amax/6. One step more on each side makes
# up for amax/6 being rounded itself.
SWEEP_STEPS = range(-14, 10)


def choose_global_scale(amax: Tensor, search: ScaleSearch) -> Tensor:
    """The tensor's scale, from its largest magnitude.

    Args:
        amax: float32 [], finite.
        search: ABSMAX lets the largest block's scale be 448; the others leave room above it.

    Returns:
        float32 [], positive. 1 for a tensor of zeros.
    """
    top = E4M3_MAX if search is ScaleSearch.ABSMAX else ROOMY_E4M3_MAX
    scale = (amax / (top * E2M1_MAX)).clamp(min=GLOBAL_SCALE_MIN, max=GLOBAL_SCALE_MAX)
    return torch.where(amax > 0, scale, 1.0)


def choose_block_scales(blocks: Tensor, global_scale: Tensor, search: ScaleSearch) -> Tensor:
    """The E4M3 scale of every block.

    Args:
        blocks: float32 [N, 16], finite.
        global_scale: float32 [].
        search: Which scales to try; the smallest error wins.

    Returns:
        float8_e4m3fn [N]; zero exactly for blocks of zeros.
    """
    magnitudes = blocks.abs()
    amax = magnitudes.amax(dim=1)
    # Divided in this order, the scales are torchao's to the last bit.
    absmax = round_to_e4m3(amax / E2M1_MAX / global_scale)
    if search is ScaleSearch.ABSMAX:
        return absmax
    if search is ScaleSearch.FOUR_OVER_SIX:
        candidates = [absmax, round_to_e4m3(amax / 4.0 / global_scale)]
    else:
        base = absmax.view(torch.uint8).to(torch.int16)
        candidates = [
            absmax,
            *(_step(base, step) for step in SWEEP_STEPS if step != 0),
        ]
    return _best_of(candidates, magnitudes, global_scale)


def block_reciprocals(scales: Tensor, global_scale: Tensor) -> Tensor:
    """What to multiply a block's weights with before they are rounded to E2M1.

    Args:
        scales: float8_e4m3fn [N].
        global_scale: float32 [].

    Returns:
        float32 [N, 1]; zero where the scale is zero.
    """
    values = scales.to(torch.float32)
    # torchao's order of operations again: x * ((1 / global) / block).
    reciprocals = (1.0 / global_scale) / values
    return torch.where(values > 0, reciprocals, 0.0).unsqueeze(1)


def _step(base: Tensor, step: int) -> Tensor:
    moved = (base + step).clamp(min=1, max=E4M3_MAX_BYTE)
    return torch.where(base > 0, moved, 0).to(torch.uint8).view(torch.float8_e4m3fn)


def _best_of(candidates: list[Tensor], magnitudes: Tensor, global_scale: Tensor) -> Tensor:
    """Of the candidate scales of each block the one of least error; the first wins a tie."""
    best = candidates[0]
    best_error = _squared_error(magnitudes, best, global_scale)
    for candidate in candidates[1:]:
        error = _squared_error(magnitudes, candidate, global_scale)
        better = error < best_error
        best = torch.where(better, candidate.view(torch.uint8), best.view(torch.uint8))
        best = best.view(torch.float8_e4m3fn)
        best_error = torch.where(better, error, best_error)
    return best


def _squared_error(magnitudes: Tensor, scales: Tensor, global_scale: Tensor) -> Tensor:
    """Squared error of every block, in units of global_scale^2 (so that it never overflows)."""
    scaled = magnitudes * block_reciprocals(scales, global_scale)
    error = round_to_e2m1(scaled).sub_(scaled).square_().sum(dim=1)
    return error * scales.to(torch.float32).square()

"""Q4_0 and Q4_K of ggml, as llama.cpp and stable-diffusion.cpp store them.

Source: ggml, `ggml-quants.c`: `quantize_row_q4_0_ref`, `quantize_row_q4_K_ref`, `make_qkx2_quants`
    and the matching `dequantize_row_*`.
"""

import torch
from torch import Tensor

from .blocks import FakeQuantized, to_blocks, to_half, to_shape

__all__ = ["q4_0", "q4_k"]

_Q4_0_BLOCK, _Q4_0_BITS = 32, 8 * 18
_SUPER_BLOCK, _SUB_BLOCK, _Q4_K_BITS = 256, 32, 8 * 144
_TOP = 15
_SCALE_TOP = 63
_SEARCH_START, _SEARCH_STEP, _SEARCH_STEPS = -1.0, 0.1, 21


def q4_0(weight: Tensor) -> FakeQuantized:
    """Quantise to Q4_0: 32 codes in [-8, 7] and a float16 scale, 4.5 bits a weight.

    The scale maps the weight of largest magnitude, with its sign, to -8.

    Args:
        weight: Any shape, finite.
    """
    x = to_blocks(weight, _Q4_0_BLOCK)
    peak = x.gather(1, x.abs().argmax(dim=1, keepdim=True))
    scale = peak / -8
    inverse = torch.where(scale != 0, 1 / scale, 0.0)
    codes = (x * inverse + 8.5).trunc().clamp(max=_TOP) - 8
    approximation = codes * to_half(scale)
    return FakeQuantized(to_shape(approximation, tuple(weight.shape)), x.shape[0] * _Q4_0_BITS)


def q4_k(weight: Tensor) -> FakeQuantized:
    """Quantise to Q4_K: 8 x 32 codes in [0, 15] with 6-bit scales and minima, 4.5 bits a weight.

    Args:
        weight: Any shape, finite.
    """
    x = to_blocks(weight, _SUPER_BLOCK).view(-1, _SUPER_BLOCK // _SUB_BLOCK, _SUB_BLOCK)
    root_mean_square = x.square().mean(dim=2, keepdim=True).sqrt()
    scales, minima = _fit(x, root_mean_square + x.abs())
    scales, minima = _six_bits(scales), _six_bits(minima)
    codes = torch.round((x + minima) / torch.where(scales > 0, scales, 1.0)).clamp(0, _TOP)
    approximation = scales * codes - minima
    return FakeQuantized(to_shape(approximation, tuple(weight.shape)), x.shape[0] * _Q4_K_BITS)


def _six_bits(values: Tensor) -> Tensor:
    """Round [N, 8, 1] to multiples, up to 63, of a float16 number for each super-block."""
    peak = values.amax(dim=1, keepdim=True)
    inverse = torch.where(peak > 0, _SCALE_TOP / peak, 0.0)
    codes = torch.round(inverse * values).clamp(max=_SCALE_TOP)
    return to_half(peak / _SCALE_TOP) * codes


def _fit(x: Tensor, importance: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and minimum of every sub-block: weighted least squares over a few trial scales.

    Args:
        x: [N, 8, 32].
        importance: [N, 8, 32], the weight of each squared error.

    Returns:
        scale and (negated) minimum, both [N, 8, 1] and not negative.
    """
    high = x.amax(dim=2, keepdim=True)
    minimum = x.amin(dim=2, keepdim=True).clamp(max=0)
    flat = high <= minimum
    high = torch.where(flat, minimum + 1.0, high)
    scale = (high - minimum) / _TOP
    sum_w, sum_x = _sum(importance), _sum(importance * x)
    codes = torch.round((x - minimum) / scale).clamp(0, _TOP)
    best = _sum(importance * (scale * codes + minimum - x).square())
    for step in range(_SEARCH_STEPS):
        # As in ggml, every trial starts from the best minimum so far, not from the smallest weight.
        inverse = (_SEARCH_START + _SEARCH_STEP * step + _TOP) / (high - minimum)
        codes = torch.round((x - minimum) * inverse).clamp(0, _TOP)
        sum_l, sum_l2 = _sum(importance * codes), _sum(importance * codes * codes)
        sum_xl = _sum(importance * codes * x)
        determinant = sum_w * sum_l2 - sum_l * sum_l
        solvable = determinant > 0
        safe = torch.where(solvable, determinant, 1.0)
        trial_scale = (sum_w * sum_xl - sum_x * sum_l) / safe
        trial_minimum = (sum_l2 * sum_x - sum_l * sum_xl) / safe
        above = trial_minimum > 0
        trial_scale = torch.where(above, sum_xl / torch.where(solvable, sum_l2, 1.0), trial_scale)
        trial_minimum = torch.where(above, 0.0, trial_minimum)
        error = _sum(importance * (trial_scale * codes + trial_minimum - x).square())
        better = solvable & (error < best)
        best = torch.where(better, error, best)
        scale = torch.where(better, trial_scale, scale)
        minimum = torch.where(better, trial_minimum, minimum)
    return torch.where(flat, 0.0, scale), -minimum


def _sum(values: Tensor) -> Tensor:
    return values.sum(dim=2, keepdim=True)

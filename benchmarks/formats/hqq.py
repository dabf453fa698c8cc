"""Half-quadratic quantisation to 4 bits: groups of 64 with a scale and a zero point.

Source: Badri & Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models"
    (https://mobiusml.github.io/hqq_blog/), with the defaults of the hqq package: l_0.7 norm,
    beta = 10 growing by 1 % an iteration, 20 iterations, early stop, rounded first zero point.
"""

import torch
from torch import Tensor

from .blocks import FakeQuantized, to_blocks, to_half, to_shape

__all__ = ["hqq"]

_GROUP = 64
_TOP = 15
_CODE_BITS, _HALF_BITS = 4, 16
_NORM, _BETA, _KAPPA, _ITERATIONS = 0.7, 10.0, 1.01, 20
_MAX_INVERSE_SCALE = 2e4  # the inverse scale must fit float16
_MIN_RANGE = 1e-4


def hqq(weight: Tensor) -> FakeQuantized:
    """Quantise to HQQ: scale and zero point in float16 for each 64 weights, 4.5 bits a weight.

    Args:
        weight: Any shape, finite.
    """
    w = to_blocks(weight, _GROUP)
    low, high = w.amin(dim=1, keepdim=True), w.amax(dim=1, keepdim=True)
    spread = high - low
    inverse = torch.where(spread <= _MIN_RANGE, 1.0, _TOP / spread)
    inverse = inverse.clamp(max=_MAX_INVERSE_SCALE)
    zero = _optimise_zero(w, inverse, torch.round(-low * inverse))
    codes = torch.round(w * inverse + zero).clamp(0, _TOP)
    approximation = (codes - to_half(zero)) * to_half(1 / inverse)
    groups = w.shape[0]
    bits = _CODE_BITS * weight.numel() + 2 * _HALF_BITS * groups
    return FakeQuantized(to_shape(approximation, tuple(weight.shape)), bits)


def _optimise_zero(w: Tensor, inverse: Tensor, zero: Tensor) -> Tensor:
    """Alternate between the sparse error and the zero point, while the error falls.

    As in the package, the zero point of the iteration that first fails to improve is the one kept.
    """
    best = torch.inf
    beta = _BETA
    for _ in range(_ITERATIONS):
        codes = torch.round(w * inverse + zero).clamp(0, _TOP)
        restored = (codes - zero) / inverse
        error = _shrink(w - restored, beta)
        zero = torch.mean(codes - (w - error) * inverse, dim=1, keepdim=True)
        current = float((w - restored).abs().mean())
        if current >= best:
            break
        best = current
        beta *= _KAPPA
    return zero


def _shrink(error: Tensor, beta: float) -> Tensor:
    """The proximal operator of the l_p norm, p < 1."""
    magnitude = error.abs()
    threshold = magnitude.pow(_NORM - 1) / beta
    return (magnitude - threshold).clamp(min=0) * error.sign()

"""NF4 with double quantisation, as QLoRA and bitsandbytes store it.

Source: Dettmers et al. 2023 (arXiv:2305.14314), sec. 3 and app. E for the 16 levels; Dettmers 2016
(arXiv:1511.04561), sec. 2.2, for the 8-bit dynamic type of the second quantisation.
"""

import torch
from torch import Tensor

from .blocks import FakeQuantized, to_blocks, to_shape

__all__ = ["nf4"]

_BLOCK, _SCALES_PER_BLOCK = 64, 256
_CODE_BITS, _SCALE_BITS, _FLOAT_BITS = 4, 8, 32
_EXPONENTS = 7

# Quantiles of the normal distribution, scaled to [-1, 1], with an exact zero.
_LEVELS = torch.tensor(
    [
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ]
)


def nf4(weight: Tensor) -> FakeQuantized:
    """Quantise to NF4: blocks of 64, their largest magnitudes again to 8 bits.

    The bits of the mean of all scales (32 a tensor) and of the scales' own scales (32 for each 256)
    are counted.

    Args:
        weight: Any shape, finite.
    """
    blocks = to_blocks(weight, _BLOCK)
    amax = blocks.abs().amax(dim=1, keepdim=True)
    levels = _nearest(blocks / torch.where(amax > 0, amax, 1.0), _LEVELS)
    scales, scale_bits = _quantize_scales(amax.flatten())
    approximation = levels * scales.unsqueeze(1)
    bits = _CODE_BITS * weight.numel() + scale_bits
    return FakeQuantized(to_shape(approximation, tuple(weight.shape)), bits)


def _quantize_scales(scales: Tensor) -> tuple[Tensor, int]:
    """Subtract the mean, then 8-bit dynamic numbers with a float32 scale for each 256."""
    mean = scales.mean()
    blocks = to_blocks(scales - mean, _SCALES_PER_BLOCK)
    amax = blocks.abs().amax(dim=1, keepdim=True)
    levels = _nearest(blocks / torch.where(amax > 0, amax, 1.0), _dynamic_levels())
    restored = to_shape(levels * amax, tuple(scales.shape)) + mean
    bits = _SCALE_BITS * scales.numel() + _FLOAT_BITS * (blocks.shape[0] + 1)
    return restored, bits


def _dynamic_levels() -> Tensor:
    """The 256 levels: a sign, a unary exponent of base 10, and a fraction in the bits left."""
    positive = []
    for exponent in range(_EXPONENTS):
        edges = torch.linspace(0.1, 1, 2**exponent + 1)
        positive.append(10.0 ** (exponent - _EXPONENTS + 1) * (edges[:-1] + edges[1:]) / 2)
    magnitudes = torch.cat(positive)
    levels = torch.cat([-magnitudes, magnitudes, torch.tensor([0.0, 1.0])])
    return levels.sort().values


def _nearest(values: Tensor, levels: Tensor) -> Tensor:
    """The nearest of sorted levels."""
    return levels[torch.bucketize(values, (levels[1:] + levels[:-1]) / 2)]

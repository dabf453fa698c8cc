"""Quantising a weight to NVFP4 without any data."""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from nvfp4_ddim_contracts import ScaleSearch
from nvfp4_ddim_optimizer.errors import InvalidInputError

from .constants import BLOCK_SIZE, BYTES_PER_BLOCK
from .packing import pack_codes
from .rounding import encode_e2m1
from .scales import block_reciprocals, choose_block_scales, choose_global_scale
from .tensor import QuantizedTensor, packed_shapes, weight_to_matrix

__all__ = ["as_blocks", "finite_amax", "quantize"]

# 2^18 weights: the temporaries of a chunk stay in the second-level cache, and however large the
# weight is, the search needs only a few megabytes beside it.
_BLOCKS_PER_CHUNK = 1 << 14
_FLOAT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@torch.no_grad()
def quantize(weight: Tensor, search: ScaleSearch = ScaleSearch.FOUR_OVER_SIX) -> QuantizedTensor:
    """Quantise a weight to NVFP4.

    Magnitudes below 2^-128 become zero. With `ScaleSearch.ABSMAX` the bytes are torchao's, except
    that blocks below 2^-6 of the tensor's E4M3 range use subnormal scales where torchao stops.

    Args:
        weight: float16, bfloat16, float32 or float64, at least one dimension, all finite;
            blocks of 16 run along the columns of `weight_to_matrix`.
        search: How block scales are chosen.

    Returns:
        The quantised weight, on the weight's device.

    Raises:
        InvalidInputError: The weight is empty, has no dimension, is not floating or not finite.
    """
    blocks = as_blocks(weight)
    global_scale = choose_global_scale(finite_amax(weight), search)
    codes = torch.empty((blocks.shape[0], BYTES_PER_BLOCK), dtype=torch.uint8, device=weight.device)
    scales = torch.empty(blocks.shape[0], dtype=torch.float8_e4m3fn, device=weight.device)
    for start in range(0, blocks.shape[0], _BLOCKS_PER_CHUNK):
        part = slice(start, start + _BLOCKS_PER_CHUNK)
        chunk = blocks[part].to(torch.float32)
        scales[part] = choose_block_scales(chunk, global_scale, search)
        scaled = chunk * block_reciprocals(scales[part], global_scale)
        codes[part] = pack_codes(encode_e2m1(scaled))
    shape = tuple(weight.shape)
    code_shape, scale_shape = packed_shapes(shape)
    return QuantizedTensor(
        codes=codes.view(code_shape),
        scales=scales.view(scale_shape),
        global_scale=global_scale,
        shape=shape,
    )


def as_blocks(weight: Tensor) -> Tensor:
    """The weight's matrix as [N, 16], rows padded with zeros; a view where that is possible.

    Raises:
        InvalidInputError: The weight is empty, has no dimension, or is not floating.
    """
    if weight.dtype not in _FLOAT_DTYPES:
        raise InvalidInputError(
            f"a weight to quantise must be a floating-point tensor, not {weight.dtype}"
        )
    packed_shapes(tuple(weight.shape))  # refuses a weight without elements
    matrix = weight_to_matrix(weight.detach())
    return pad(matrix, (0, -matrix.shape[1] % BLOCK_SIZE)).reshape(-1, BLOCK_SIZE)


def finite_amax(weight: Tensor) -> Tensor:
    """Largest magnitude, float32 []; taken without a copy of the weight.

    Raises:
        InvalidInputError: The weight holds NaN or infinity.
    """
    lowest, highest = torch.aminmax(weight.detach())
    amax = torch.maximum(-lowest, highest).to(torch.float32)
    if not math.isfinite(float(amax)):
        raise InvalidInputError(
            "the weight holds NaN or infinity (or a number beyond float32) and can't be quantised"
        )
    return amax

"""From NVFP4 back to floating point: by a native kernel on the CPU, by plain torch elsewhere."""

from functools import lru_cache

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.native import library

from .constants import BLOCK_SIZE
from .rounding import decode_e2m1
from .tensor import QuantizedTensor, matrix_to_weight

__all__ = ["dequantize", "dequantize_matrix", "dequantize_reference"]

# Four values are fetched as one element of these types: torch gathers elements, not rows, fast.
_CARRIERS = {
    torch.float32: torch.complex128,
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
}


def dequantize(quantized: QuantizedTensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Dequantise a weight.

    Args:
        quantized: The weight in NVFP4.
        dtype: float32, float16 or bfloat16; products are taken in float32 and rounded once.

    Returns:
        `dtype`, of the weight's own shape; a convolution's is channels_last.

    Raises:
        InvalidInputError: `dtype` is another type.
    """
    matrix = dequantize_matrix(
        quantized.codes, quantized.scales, quantized.global_scale, dtype=dtype
    )
    return matrix_to_weight(matrix, quantized.shape)


def dequantize_matrix(
    codes: Tensor, scales: Tensor, global_scale: Tensor, *, dtype: torch.dtype
) -> Tensor:
    """Dequantise unchecked parts, padding included; what a layer calls in every forward pass.

    Args:
        codes: uint8 [rows, K_pad / 2].
        scales: float8_e4m3fn [rows, K_pad / 16].
        global_scale: float32 [].
        dtype: float32, float16 or bfloat16.

    Returns:
        `dtype` [rows, K_pad].

    Raises:
        InvalidInputError: `dtype` is another type.
    """
    if dtype not in _CARRIERS:
        raise InvalidInputError(
            f"NVFP4 is dequantised to float32, float16 or bfloat16, not {dtype}"
        )
    if torch.compiler.is_compiling():
        matrix: Tensor = _opaque_unpack(codes, scales, global_scale, dtype)
        return matrix
    return _unpack(codes, scales, global_scale, dtype)


def dequantize_reference(
    codes: Tensor, scales: Tensor, global_scale: Tensor, dtype: torch.dtype
) -> Tensor:
    """What `dequantize_matrix` gives, to the last bit, in plain torch and on any device."""
    if codes.storage_offset() % 2:
        codes = codes.clone()  # a mapped tensor may begin at an odd byte, which no 16-bit view can
    pairs = codes.view(torch.uint16).flatten().to(torch.int32)
    values = _table(dtype, codes.device).index_select(0, pairs).view(dtype)
    # float32 factors: where `dtype` is shorter, torch multiplies in float32 and rounds once.
    factors = scales.to(torch.float32) * global_scale
    values.view(-1, BLOCK_SIZE).mul_(factors.view(-1, 1))
    return values.view(codes.shape[0], -1)


def _unpack(codes: Tensor, scales: Tensor, global_scale: Tensor, dtype: torch.dtype) -> Tensor:
    # A subclass, such as the fake tensors of a tracer, has no memory to hand out.
    is_plain = codes.device.type == "cpu" and type(codes) is Tensor
    kernels = library() if is_plain else None
    if kernels is None:
        return dequantize_reference(codes, scales, global_scale, dtype)
    out = torch.empty((codes.shape[0], 2 * codes.shape[1]), dtype=dtype)
    kernels.dequantize(codes.contiguous(), scales.contiguous(), global_scale, out)
    return out


# torch.compile sees one operator: it would put the table into its graph, and knows no complex128.
_opaque_unpack = torch.library.custom_op("nvfp4_ddim::dequantize", _unpack, mutates_args=())


@_opaque_unpack.register_fake
def _(codes: Tensor, scales: Tensor, global_scale: Tensor, dtype: torch.dtype) -> Tensor:
    del scales, global_scale
    return codes.new_empty((codes.shape[0], 2 * codes.shape[1]), dtype=dtype)


@lru_cache(maxsize=8)
def _table(dtype: torch.dtype, device: torch.device) -> Tensor:
    """All 65,536 values of two packed bytes: four numbers each, as one element of a carrier."""
    # Made outside of inference mode: the table is shared by callers inside and outside of it.
    with torch.inference_mode(False):
        pairs = torch.arange(1 << 16, dtype=torch.int32, device=device)
        nibbles = torch.stack([(pairs >> shift) & 0x0F for shift in (0, 4, 8, 12)], dim=-1)
        return decode_e2m1(nibbles, dtype).contiguous().view(_CARRIERS[dtype]).flatten()

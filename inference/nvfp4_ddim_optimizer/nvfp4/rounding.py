"""Rounding to E2M1 and E4M3, to nearest with ties to even, saturating."""

import torch
from torch import Tensor

from .constants import E2M1_MAGNITUDES, E2M1_MAX, E2M1_SIGN_BIT, E4M3_MAX, E4M3_SMALLEST

__all__ = ["decode_e2m1", "encode_e2m1", "round_to_e2m1", "round_to_e4m3"]

_EXPONENT_MASK = 0x7F80_0000
_EXPONENT_OF_ONE = 0x3F80_0000
_MANTISSA_BITS = 23


def round_to_e2m1(magnitudes: Tensor) -> Tensor:
    """Round to the nearest of {0, 0.5, 1, 1.5, 2, 3, 4, 6}, ties to the even code.

    E2M1 numbers are multiples of 0.5 below 2, of 1 below 4 and of 2 above. Adding and taking away
    2^(22+e) makes FP32 itself round to a multiple of 2^(e-1), ties to even: six times faster than
    a table search, and the sweep over scales lives from it.

    Args:
        magnitudes: float32, any shape, finite and not negative.

    Returns:
        float32 of the same shape, at most 6.
    """
    magnitudes = magnitudes.clamp(max=E2M1_MAX)
    exponent = magnitudes.view(torch.int32).bitwise_and(_EXPONENT_MASK)
    exponent.clamp_(min=_EXPONENT_OF_ONE).add_((_MANTISSA_BITS - 1) << _MANTISSA_BITS)
    magic = exponent.view(torch.float32)
    return (magnitudes + magic).sub_(magic)


def encode_e2m1(values: Tensor) -> Tensor:
    """Round to E2M1 and give the codes: the sign in bit 3, the magnitude's index in bits 0 to 2.

    The sign of a value that rounds to zero is kept, as torchao's cast does.

    Args:
        values: float32, any shape, finite.

    Returns:
        uint8 of the same shape, 0 to 15.
    """
    rounded = round_to_e2m1(values.abs())
    # From 1.0 on, the exponent's low bits and the first mantissa bit are the index, up to an
    # offset; below, the index is twice the value.
    normal = (rounded.view(torch.int32) >> (_MANTISSA_BITS - 1)) - 252
    index = torch.where(rounded < 1, (2 * rounded).to(torch.int32), normal)
    sign = torch.signbit(values).to(torch.int32) * E2M1_SIGN_BIT
    return index.add_(sign).to(torch.uint8)


def decode_e2m1(codes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Values of E2M1 codes.

    Args:
        codes: uint8, any shape, 0 to 15.
        dtype: A floating type; every one that torch has holds E2M1 exactly.

    Returns:
        `dtype`, the same shape.
    """
    signed = [*E2M1_MAGNITUDES, *(-value for value in E2M1_MAGNITUDES)]
    return torch.tensor(signed, dtype=dtype, device=codes.device)[codes.int()]


def round_to_e4m3(values: Tensor) -> Tensor:
    """Round positive numbers to E4M3 without ever losing them: never zero, never NaN.

    A scale that would round to zero becomes the smallest subnormal (which still represents its
    block, since the block's largest weight is then below 6 of it), and one above 448 saturates.
    Zero stays zero.

    Args:
        values: float32, any shape, not negative.

    Returns:
        float8_e4m3fn of the same shape.
    """
    clamped = values.clamp(min=E4M3_SMALLEST, max=E4M3_MAX)
    return torch.where(values > 0, clamped, 0.0).to(torch.float8_e4m3fn)

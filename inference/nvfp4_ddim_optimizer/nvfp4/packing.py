"""Two 4-bit codes in a byte: the low nibble holds the even element."""

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["pack_codes", "unpack_codes"]


def pack_codes(codes: Tensor) -> Tensor:
    """Pack codes two to a byte.

    Args:
        codes: uint8 [..., K], 0 to 15, K even.

    Returns:
        uint8 [..., K / 2].

    Raises:
        InvalidInputError: The type is not uint8 or K is odd.
    """
    if codes.dtype != torch.uint8 or codes.dim() == 0 or codes.shape[-1] % 2:
        raise InvalidInputError(
            f"codes to pack must be uint8 with an even last dimension, "
            f"not {codes.dtype} {tuple(codes.shape)}"
        )
    return codes[..., 0::2] | (codes[..., 1::2] << 4)


def unpack_codes(packed: Tensor) -> Tensor:
    """Undo `pack_codes`.

    Args:
        packed: uint8 [..., K / 2].

    Returns:
        uint8 [..., K], 0 to 15.

    Raises:
        InvalidInputError: The type is not uint8.
    """
    if packed.dtype != torch.uint8 or packed.dim() == 0:
        raise InvalidInputError(
            f"packed codes must be uint8 with a last dimension, "
            f"not {packed.dtype} {tuple(packed.shape)}"
        )
    return torch.stack((packed & 0x0F, packed >> 4), dim=-1).flatten(-2)

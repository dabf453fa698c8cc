"""A weight in NVFP4."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.errors import InvalidInputError

from .constants import BLOCK_SIZE, BYTES_PER_BLOCK, E4M3_MAX_BYTE

__all__ = ["QuantizedTensor", "matrix_to_weight", "packed_shapes", "weight_to_matrix"]


def packed_shapes(shape: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Shapes of the packed codes and of the block scales of a weight.

    The weight is read as a matrix of K columns, see `weight_to_matrix`. K is padded with zeros to
    a multiple of 16.

    Args:
        shape: The weight's shape.

    Returns:
        ([rows, K_pad / 2], [rows, K_pad / 16]).

    Raises:
        InvalidInputError: The weight has no dimension or no element.
    """
    if not shape or math.prod(shape) == 0:
        raise InvalidInputError(f"a weight of shape {shape} has nothing to quantise")
    rows = shape[0] if len(shape) > 1 else 1
    blocks = -(-(math.prod(shape) // rows) // BLOCK_SIZE)
    return (rows, blocks * BYTES_PER_BLOCK), (rows, blocks)


def weight_to_matrix(weight: Tensor) -> Tensor:
    """The matrix that a weight is quantised as.

    The first dimension are the rows, the others the columns K; a vector is one row. A
    convolution's columns are in the order kh, kw, Cin: blocks of 16 then hold one tap of 16
    channels, whose weights are more alike than the taps of one channel, and what is dequantised
    lies in memory as channels_last, which convolutions on a CPU prefer.

    Args:
        weight: [out, in], [out, Cin, kh, kw], or any other shape with an element in it.

    Returns:
        [rows, K]; a view of `weight` where its memory allows.
    """
    if weight.dim() < 2:
        return weight.reshape(1, -1)
    return weight.movedim(1, -1).reshape(weight.shape[0], -1)


def matrix_to_weight(matrix: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Undo `weight_to_matrix`.

    Args:
        matrix: [rows, K_pad]; columns from K on are left out.
        shape: The weight's shape.

    Returns:
        A view of `matrix` where nothing was padded: channels_last for a convolution.
    """
    if len(shape) < 2:
        return matrix[0, : math.prod(shape)].reshape(shape)
    columns = matrix[:, : math.prod(shape[1:])]
    return columns.reshape(shape[0], *shape[2:], shape[1]).movedim(-1, 1)


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """A weight in NVFP4: value = E2M1 code * block scale * global scale.

    Attributes:
        codes: uint8 [rows, K_pad / 2]; the low nibble is the even element.
        scales: float8_e4m3fn [rows, K_pad / 16], neither negative nor NaN; blocks run along K.
        global_scale: float32 [], positive.
        shape: The weight's own shape; see `weight_to_matrix` for how it becomes a matrix.
    """

    codes: Tensor
    scales: Tensor
    global_scale: Tensor
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together."""
        code_shape, scale_shape = packed_shapes(self.shape)
        _check_part("codes", self.codes, torch.uint8, code_shape)
        _check_part("scales", self.scales, torch.float8_e4m3fn, scale_shape)
        _check_part("global_scale", self.global_scale, torch.float32, ())
        devices = {self.codes.device, self.scales.device, self.global_scale.device}
        if len(devices) > 1:
            raise InvalidInputError(
                f"the parts of an NVFP4 tensor lie on several devices: {devices}"
            )
        if self.codes.is_meta:
            return
        if bool((self.scales.view(torch.uint8) > E4M3_MAX_BYTE).any()):
            raise InvalidInputError("a block scale of an NVFP4 tensor is negative or NaN")
        if not (0 < float(self.global_scale) < math.inf):
            raise InvalidInputError(
                f"the global scale of an NVFP4 tensor must be positive and finite, "
                f"not {float(self.global_scale)}"
            )

    @property
    def bits_per_weight(self) -> float:
        """Stored bits for each weight of the original, padding and all scales included."""
        stored = self.codes.nbytes + self.scales.nbytes + self.global_scale.nbytes
        return 8 * stored / math.prod(self.shape)


def _check_part(name: str, part: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    if part.dtype != dtype or tuple(part.shape) != shape:
        raise InvalidInputError(
            f"{name} of an NVFP4 tensor must be {dtype} {list(shape)}, "
            f"not {part.dtype} {list(part.shape)}"
        )

"""What the formats share: cutting a weight into blocks and putting it together again."""

import math
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import pad

__all__ = ["FakeQuantized", "to_blocks", "to_half", "to_shape"]


@dataclass(frozen=True)
class FakeQuantized:
    """A weight after quantisation.

    Attributes:
        weight: What it dequantises to, float32, of the weight's shape.
        bits: All that the format stores for it, scales included.
    """

    weight: Tensor
    bits: int


def to_blocks(weight: Tensor, size: int) -> Tensor:
    """Flatten to float32 [N, size]; the last block is filled up with zeros."""
    flat = weight.detach().float().flatten()
    return pad(flat, (0, -flat.numel() % size)).view(-1, size)


def to_shape(blocks: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The inverse of `to_blocks`."""
    return blocks.flatten()[: math.prod(shape)].reshape(shape)


def to_half(values: Tensor) -> Tensor:
    """Round to float16 and back."""
    return values.half().float()

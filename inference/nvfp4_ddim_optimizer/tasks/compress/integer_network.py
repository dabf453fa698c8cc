"""Small convolutional networks in whole numbers: the same result on every machine.

Encoder and decoder must derive exactly the same probability tables. Floating-point sums depend on
their order, and so on the processor, the BLAS and the number of threads. Here all numbers are
whole, and every partial sum stays below 2**53, so that float64 holds it exactly in any order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ACTIVATION_LIMIT", "IntegerLayer", "neighbourhoods"]

Whole = NDArray[np.float64]
"""Whole numbers held in float64."""

ACTIVATION_LIMIT = 32767
"""Largest magnitude that goes into a layer. With 16-bit weights and fewer than 2**12 of them a
sum stays below 2**42."""


@dataclass(frozen=True)
class IntegerLayer:
    """floor((weight @ x + bias) / 2**shift), with half a unit added to round.

    Attributes:
        weight: [out, in], 16-bit whole numbers.
        bias: [out].
        scale: [out], 2**-shift for each output.
    """

    weight: Whole
    bias: Whole
    scale: Whole

    @classmethod
    def of(cls, tables: Mapping[str, NDArray[np.generic]], name: str) -> "IntegerLayer":
        """Take a layer's three tables: `<name>_weight`, `<name>_bias` and `<name>_shift`."""
        shift = tables[f"{name}_shift"].astype(np.float64)
        bias = tables[f"{name}_bias"].astype(np.float64) + np.exp2(shift - 1)
        weight = tables[f"{name}_weight"].astype(np.float64)
        return cls(weight, bias[:, None], np.exp2(-shift)[:, None])

    def __call__(self, x: Whole) -> Whole:
        """[in, N] to [out, N]; magnitudes up to ACTIVATION_LIMIT go in."""
        return np.floor((self.weight @ x + self.bias) * self.scale)


def neighbourhoods(
    planes: Sequence[Whole], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> Whole:
    """3x3 neighbourhoods at some positions, zero outside, as a convolution reads them.

    Args:
        planes: Each [C, H, W].
        rows: [N].
        columns: [N].

    Returns:
        [9 * sum of C, N], clipped to what a layer takes.
    """
    stacked = np.concatenate(planes)
    padded = np.pad(stacked, ((0, 0), (1, 1), (1, 1)))
    taps = [padded[:, rows + i, columns + j] for i in range(3) for j in range(3)]
    patches = np.stack(taps, axis=1).reshape(9 * len(stacked), len(rows))
    return np.clip(patches, -ACTIVATION_LIMIT, ACTIVATION_LIMIT)

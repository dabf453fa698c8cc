"""The order in which Blackwell's tensor cores read block scales.

Scales are cut into tiles of 128 rows by 4 blocks. The tiles follow each other row by row, and
inside a tile, row r and block c lie at byte 16 (r mod 32) + 4 (r div 32) + c: the 4 scales of a
row stay together, and rows 32 apart become neighbours. Rows and blocks are padded with zeros.

Source: NVIDIA, cuBLAS documentation, section "1D Block Scaling Factors Layout"; PyTorch calls the
order `SwizzleType.SWIZZLE_32_4_4`.
"""

from torch import Tensor

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = [
    "_COLUMNS",
    "_ROWS",
    "swizzle_scales",
    "swizzled_shape",
    "unswizzle_scales",
]

_ROWS = 128
"""Rows of a tile."""

_COLUMNS = 4
"""Block scales of a row in a tile."""

_LANES = 32


def swizzled_shape(rows: int, blocks: int) -> tuple[int, int]:
    """Shape of the padded scales.

    Args:
        rows: Of the weight's matrix; padded to a multiple of 128.
        blocks: Scales of a row; padded to a multiple of 4.
    """
    return _round_up(rows, _ROWS), _round_up(blocks, _COLUMNS)


def swizzle_scales(scales: Tensor) -> Tensor:
    """Put block scales into the order of the tensor cores.

    Args:
        scales: float8_e4m3fn (or any type) [rows, blocks].

    Returns:
        The same type, of `swizzled_shape`, contiguous; only its bytes' order has a meaning.

    Raises:
        InvalidInputError: The scales are no matrix.
    """
    if scales.dim() != 2:
        raise InvalidInputError(f"block scales must be a matrix, not {list(scales.shape)}")
    rows, blocks = swizzled_shape(*scales.shape)
    padded = scales.new_zeros((rows, blocks))
    padded[: scales.shape[0], : scales.shape[1]] = scales
    tiles = padded.view(-1, _ROWS // _LANES, _LANES, blocks // _COLUMNS, 4)
    return tiles.permute(0, 3, 2, 1, 4).reshape(rows, blocks)


def unswizzle_scales(swizzled: Tensor, rows: int, blocks: int) -> Tensor:
    """Undo `swizzle_scales`.

    Args:
        swizzled: Any type, as many elements as `swizzled_shape(rows, blocks)`, in any shape.
        rows: Rows without padding.
        blocks: Blocks of a row without padding.

    Returns:
        The same type [rows, blocks], contiguous.

    Raises:
        InvalidInputError: The number of elements is another.
    """
    padded_rows, padded_blocks = swizzled_shape(rows, blocks)
    if swizzled.numel() != padded_rows * padded_blocks:
        raise InvalidInputError(
            f"swizzled scales of a [{rows}, {blocks}] matrix have {padded_rows * padded_blocks} "
            f"elements, not {swizzled.numel()}"
        )
    tiles = swizzled.reshape(-1, padded_blocks // _COLUMNS, _LANES, _ROWS // _LANES, _COLUMNS)
    padded = tiles.permute(0, 3, 2, 1, 4).reshape(padded_rows, padded_blocks)
    return padded[:rows, :blocks].contiguous()


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple

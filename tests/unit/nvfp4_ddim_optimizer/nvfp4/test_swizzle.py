"""Swizzled scales lie where cuBLAS's documentation says, and come back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import swizzle_scales, swizzled_shape, unswizzle_scales

SIZES = st.tuples(st.integers(1, 300), st.integers(1, 20))


def numbered(rows: int, blocks: int) -> torch.Tensor:
    """Every byte but zero, which is the padding's."""
    return (torch.arange(rows * blocks) % 126 + 1).to(torch.uint8).view(rows, blocks)


@given(SIZES)
def test_round_trip(size: tuple[int, int]) -> None:
    scales = numbered(*size).view(torch.float8_e4m3fn)

    swizzled = swizzle_scales(scales)
    back = unswizzle_scales(swizzled.flatten(), *size)

    assert swizzled.shape == swizzled_shape(*size)
    assert swizzled.is_contiguous()
    assert torch.equal(back.view(torch.uint8), scales.view(torch.uint8))


@given(SIZES, st.data())
def test_each_scale_lies_at_its_documented_byte(size: tuple[int, int], data: st.DataObject) -> None:
    rows, blocks = size
    scales = numbered(rows, blocks)
    row = data.draw(st.integers(0, rows - 1))
    block = data.draw(st.integers(0, blocks - 1))

    tiles_across = -(-blocks // 4)
    tile = (row // 128) * tiles_across + block // 4
    byte = 512 * tile + (row % 32) * 16 + (row % 128) // 32 * 4 + block % 4

    assert swizzle_scales(scales).flatten()[byte] == scales[row, block]


@given(SIZES)
def test_padding_is_zero(size: tuple[int, int]) -> None:
    swizzled = swizzle_scales(numbered(*size))
    assert int((swizzled != 0).sum()) == size[0] * size[1]


@pytest.mark.parametrize("size", [(1, 1), (128, 4), (130, 9), (320, 40)])
def test_torchao_writes_the_same_bytes(size: tuple[int, int]) -> None:
    utils = pytest.importorskip("torchao.prototype.mx_formats.utils")
    scales = numbered(*size)
    assert torch.equal(swizzle_scales(scales).flatten(), utils.to_blocked(scales))


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="matrix"):
        swizzle_scales(torch.zeros(4))
    with pytest.raises(InvalidInputError, match="512"):
        unswizzle_scales(torch.zeros(511), 3, 3)

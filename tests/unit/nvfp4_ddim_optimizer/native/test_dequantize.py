"""The native kernel gives the reference's bits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nvfp4_ddim_optimizer.nvfp4 import dequantize_matrix
from nvfp4_ddim_optimizer.nvfp4.constants import (
    E4M3_MAX_BYTE,
    GLOBAL_SCALE_MAX,
    GLOBAL_SCALE_MIN,
)
from nvfp4_ddim_optimizer.nvfp4.dequantize import dequantize_reference

pytestmark = pytest.mark.usefixtures("instruction_set", "threads")

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def bits(tensor: Tensor) -> Tensor:
    return tensor.view(torch.int32 if tensor.dtype == torch.float32 else torch.int16)


def check(codes: Tensor, scales: Tensor, global_scale: float) -> None:
    scale = torch.tensor(global_scale, dtype=torch.float32)
    for dtype in DTYPES:
        native = dequantize_matrix(codes, scales, scale, dtype=dtype)
        reference = dequantize_reference(codes, scales, scale, dtype)
        assert native.shape == reference.shape
        assert torch.equal(bits(native), bits(reference)), dtype


def random_parts(rows: int, blocks: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 256, (rows, 8 * blocks), dtype=torch.uint8, generator=generator)
    scales = torch.randint(
        0, E4M3_MAX_BYTE + 1, (rows, blocks), dtype=torch.uint8, generator=generator
    )
    return codes, scales.view(torch.float8_e4m3fn)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 7),
    blocks=st.integers(1, 9),
    seed=st.integers(0, 2**31),
    exponent=st.floats(-117, 115),
)
def test_any_numbers(rows: int, blocks: int, seed: int, exponent: float) -> None:
    scale = min(max(2.0**exponent, GLOBAL_SCALE_MIN), GLOBAL_SCALE_MAX)
    check(*random_parts(rows, blocks, seed), scale)


@pytest.mark.parametrize("global_scale", [1.0, 2.0**-20, 1.1e-7, 0.37, 300.0, 2.0**20])
def test_every_code_with_every_scale(global_scale: float) -> None:
    """Subnormal numbers and overflow of float16, rounding ties and negative zero included."""
    codes = torch.arange(16, dtype=torch.uint8)
    block = (codes[0::2] | (codes[1::2] << 4)).repeat(E4M3_MAX_BYTE + 1, 1)
    scales = torch.arange(E4M3_MAX_BYTE + 1, dtype=torch.uint8).view(-1, 1)
    check(block, scales.view(torch.float8_e4m3fn), global_scale)


def test_a_weight_that_several_threads_share() -> None:
    check(*random_parts(33, 513, seed=1), 0.01)


def test_parts_that_are_not_contiguous_or_begin_at_an_odd_byte() -> None:
    codes, scales = random_parts(6, 8, seed=2)
    check(codes[::2, :32], scales[::2, :4], 0.5)
    shifted = torch.cat([torch.zeros(1, dtype=torch.uint8), codes.flatten()])[1:].view(6, 64)
    check(shifted, scales, 0.5)

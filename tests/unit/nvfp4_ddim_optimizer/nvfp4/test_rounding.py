"""Rounding to E2M1 and E4M3 against definitions that are slow and plain."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.nvfp4 import decode_e2m1, encode_e2m1, round_to_e2m1, round_to_e4m3
from nvfp4_ddim_optimizer.nvfp4.constants import E2M1_MAGNITUDES

without_deadline = settings(deadline=None, max_examples=100)
FLOATS = st.floats(min_value=0, max_value=2.0**127, width=32)
E4M3 = torch.arange(0x7F, dtype=torch.uint8).view(torch.float8_e4m3fn).double().tolist()


def nearest_even(value: float, grid: tuple[float, ...] | list[float]) -> int:
    """Index of the nearest number of the grid; of two equally near, the even index."""
    return min(range(len(grid)), key=lambda index: (abs(grid[index] - value), index % 2))


@without_deadline
@given(st.lists(FLOATS, min_size=1, max_size=50))
def test_e2m1_is_the_nearest_number_with_ties_to_even(values: list[float]) -> None:
    rounded = round_to_e2m1(torch.tensor(values))
    assert rounded.tolist() == [
        E2M1_MAGNITUDES[nearest_even(min(value, 6.0), E2M1_MAGNITUDES)] for value in values
    ]


@pytest.mark.parametrize(
    ("tie", "even"),
    [(0.25, 0.0), (0.75, 1.0), (1.25, 1.0), (1.75, 2.0), (2.5, 2.0), (3.5, 4.0), (5.0, 4.0)],
)
def test_every_tie_goes_to_the_even_code_and_its_neighbours_do_not(tie: float, even: float) -> None:
    value = torch.tensor(tie)
    below, above = torch.nextafter(value, -value), torch.nextafter(value, 2 * value)
    assert round_to_e2m1(value).item() == even
    assert round_to_e2m1(below).item() < round_to_e2m1(above).item()
    assert encode_e2m1(value).item() % 2 == 0


def test_codes_are_sign_and_index_and_decode_to_what_they_encode() -> None:
    codes = torch.arange(16, dtype=torch.uint8)
    values = decode_e2m1(codes)
    assert values.tolist() == [*E2M1_MAGNITUDES, *(-value for value in E2M1_MAGNITUDES)]
    assert torch.equal(encode_e2m1(values), codes)
    assert math.copysign(1, values[8].item()) == -1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float_type_holds_e2m1_exactly(dtype: torch.dtype) -> None:
    codes = torch.arange(16, dtype=torch.uint8)
    assert decode_e2m1(codes, dtype).tolist() == decode_e2m1(codes).tolist()


def test_encoding_saturates_and_keeps_the_sign_of_zero() -> None:
    codes = encode_e2m1(torch.tensor([7.0, -1e30, -0.0, -0.1, 0.1]))
    assert codes.tolist() == [7, 15, 8, 8, 0]


@without_deadline
@given(st.lists(FLOATS, min_size=1, max_size=50))
def test_e4m3_is_the_nearest_number_but_never_zero_nor_nan(values: list[float]) -> None:
    rounded = round_to_e4m3(torch.tensor(values)).view(torch.uint8).tolist()
    expected = [
        0 if value == 0 else max(1, nearest_even(min(value, 448.0), E4M3)) for value in values
    ]
    assert rounded == expected


def test_e4m3_keeps_subnormals_and_saturates() -> None:
    values = torch.tensor([0.0, 1e-30, 2.0**-9, 3 * 2.0**-9, 2.0**-6, 448.0, 465.0, 3e38])
    expected = [0.0, 2.0**-9, 2.0**-9, 3 * 2.0**-9, 2.0**-6, 448.0, 448.0, 448.0]
    assert round_to_e4m3(values).float().tolist() == expected

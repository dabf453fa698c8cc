import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import pack_codes, unpack_codes

without_deadline = settings(deadline=None, max_examples=100)


def test_the_low_nibble_is_the_even_element() -> None:
    packed = pack_codes(torch.tensor([[0x1, 0x2, 0xF, 0x0]], dtype=torch.uint8))
    assert packed.tolist() == [[0x21, 0x0F]]


@without_deadline
@given(st.lists(st.lists(st.integers(0, 15), min_size=8, max_size=8), min_size=1, max_size=9))
def test_unpacking_undoes_packing(rows: list[list[int]]) -> None:
    codes = torch.tensor(rows, dtype=torch.uint8)
    packed = pack_codes(codes)
    assert packed.shape == (len(rows), 4)
    assert torch.equal(unpack_codes(packed), codes)


@without_deadline
@given(st.binary(min_size=1, max_size=64))
def test_packing_undoes_unpacking(data: bytes) -> None:
    packed = torch.tensor(list(data), dtype=torch.uint8)
    assert torch.equal(pack_codes(unpack_codes(packed)), packed)


@pytest.mark.parametrize(
    "codes", [torch.zeros(3, dtype=torch.uint8), torch.zeros(4), torch.tensor(1, dtype=torch.uint8)]
)
def test_what_can_not_be_packed_is_refused(codes: torch.Tensor) -> None:
    with pytest.raises(InvalidInputError, match="codes to pack"):
        pack_codes(codes)


def test_unpacking_wants_bytes() -> None:
    with pytest.raises(InvalidInputError, match="uint8"):
        unpack_codes(torch.zeros(4, dtype=torch.int32))

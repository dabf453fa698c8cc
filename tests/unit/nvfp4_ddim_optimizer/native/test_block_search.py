"""The native search chooses what the reference chooses, byte for byte."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nvfp4_ddim_optimizer.nvfp4.block_search import SearchTables, search_blocks, search_reference
from nvfp4_ddim_optimizer.nvfp4.code_lengths import CodeLengths
from nvfp4_ddim_optimizer.nvfp4.rounding import round_to_e4m3
from nvfp4_ddim_optimizer.nvfp4.scales import SWEEP_STEPS

pytestmark = pytest.mark.usefixtures("instruction_set", "threads")


def gaussian(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def check(blocks: Tensor, importance: Tensor | None, rate: float, steps: range, seed: int) -> None:
    blocks = blocks / blocks.abs().max().clamp(min=1e-30) * 6 * 256
    bases = round_to_e4m3(blocks.abs().amax(dim=1) / 6).view(torch.uint8)
    lengths = CodeLengths(
        gaussian(8, seed=seed).abs() * 3 + 1, gaussian(127, seed=seed + 1).abs() * 5
    )
    tables = SearchTables.build(lengths, rate, blocks.device)
    native = search_blocks(blocks, bases, importance, tables, steps)
    reference = search_reference(blocks, bases, importance, tables, steps)
    assert torch.equal(native[0], reference[0])
    assert torch.equal(native[1], reference[1])


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 2**20),
    count=st.integers(1, 80),
    spread=st.floats(0, 6),
    rate=st.sampled_from([0.0, 1.0, 30.0, 3000.0]),
    weighted=st.booleans(),
    steps=st.sampled_from([range(-7, 13), SWEEP_STEPS, range(1), range(-16, 13)]),
)
def test_any_blocks(
    *, seed: int, count: int, spread: float, rate: float, weighted: bool, steps: range
) -> None:
    blocks = gaussian(count, 16, seed=seed) * torch.exp2(spread * gaussian(count, 1, seed=seed + 1))
    blocks[0, ::3] = -0.0
    blocks[count // 2] = 0.0
    importance = torch.exp2(3 * gaussian(count, 16, seed=seed + 2)) if weighted else None
    check(blocks, importance, rate, steps, seed)


def test_enough_blocks_for_several_threads() -> None:
    check(gaussian(5000, 16, seed=1), None, 40.0, range(-7, 13), 2)


def test_codes_that_are_ties() -> None:
    """Multiples of a quarter of the scale lie midway between codes."""
    blocks = (torch.arange(16 * 64) % 25 - 12).view(64, 16) / 4.0
    check(blocks, None, 0.0, range(-7, 13), 3)

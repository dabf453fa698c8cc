"""The search of rate-distortion optimised quantisation: every block's best scale and codes.

In units of the global scale, a weight x of magnitude m costs, with block scale s and code k of
magnitude l_k,

    h (m - l_k s)^2 + rate * bits_k  =  h m^2 + s^2 (h l_k^2 + rate bits_k / s^2 - l_k h v),
                                                                              v = 2 m / s,

where h is the weight's importance, 1 if there is none. h m^2 does not depend on the choice. What is
left is, for a scale, the lowest of eight lines in v: the best codes of a scale cost one addition,
multiplication and comparison for each code, without rounding or looking anything up, and no code is
overlooked. The scale with the least sum wins; its codes are read off at the end.

`search_reference` does it in plain torch, and the native kernel step by step alike. All products
with an l_k are exact (3 v is rounded once, 1.5, 3 and 6 are multiples of it by powers of two) and
sums are taken in one order, so that both give the same bytes, with fused multiply-add or without.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.native import library

from .code_lengths import SCALE_BYTES, CodeLengths
from .constants import BLOCK_SIZE, E2M1_MAGNITUDES, E2M1_SIGN_BIT
from .packing import pack_codes

__all__ = ["SearchTables", "search_blocks", "search_reference"]

# Scales outside of 1 to 126 have rows too, at infinite cost, so that no candidate has to be
# checked: 16 below, and 33 above, which a kernel that takes several candidates at once may touch.
_BELOW, _ABOVE = 16, 33
# Blocks whose temporaries fill half of a usual second-level cache.
_BLOCKS_PER_CHUNK = 1 << 12
# Magnitudes of codes 1 to 7 as multiples of v, or of 3 v, by powers of two.
_STEPS = (
    (0.5, False),
    (1.0, False),
    (0.5, True),
    (2.0, False),
    (1.0, True),
    (4.0, False),
    (2.0, True),
)


@dataclass(frozen=True, eq=False)
class SearchTables:
    """What a search looks up for a scale: column c is the scale of byte c - 16.

    Attributes:
        rows: float32 [11, 176]; the properties say which is which.
    """

    rows: Tensor

    @property
    def reciprocals(self) -> Tensor:
        """2 / s."""
        return self.rows[0]

    @property
    def squares(self) -> Tensor:
        """s^2."""
        return self.rows[1]

    @property
    def scale_costs(self) -> Tensor:
        """rate * bits of the scale; infinite where there is no scale."""
        return self.rows[2]

    @property
    def code_costs(self) -> Tensor:
        """rate * bits of a code / s^2: [8, 176]."""
        return self.rows[3:]

    @classmethod
    def build(cls, lengths: CodeLengths, rate: float, device: torch.device) -> "SearchTables":
        """The tables for code lengths.

        Args:
            lengths: Bits of every symbol.
            rate: Squared error that a bit is worth, in units of the global scale's square.
            device: Where the search takes place.
        """
        scales = torch.arange(1, SCALE_BYTES, dtype=torch.uint8).view(torch.float8_e4m3fn)
        values = scales.to(torch.float64)
        costs = rate * lengths.codes.to(torch.float64).unsqueeze(1) / values.square()
        scale_costs = rate * lengths.scales[1:].to(torch.float64)
        rows = torch.stack([2 / values, values.square(), scale_costs, *costs]).to(torch.float32)
        rows = torch.nn.functional.pad(rows, (_BELOW + 1, _ABOVE))
        rows[2, : _BELOW + 1] = rows[2, -_ABOVE:] = torch.inf
        return cls(rows.to(device))


def search_blocks(
    blocks: Tensor,
    bases: Tensor,
    importance: Tensor | None,
    tables: SearchTables,
    steps: range,
) -> tuple[Tensor, Tensor]:
    """What `search_reference` gives, to the last bit, by a native kernel where there is one."""
    kernels = library() if blocks.device.type == "cpu" else None
    if kernels is None:
        return search_reference(blocks, bases, importance, tables, steps)
    return kernels.search_blocks(
        blocks.contiguous(),
        bases.contiguous(),
        None if importance is None else importance.contiguous(),
        tables.rows.contiguous(),
        steps,
    )


def search_reference(
    blocks: Tensor,
    bases: Tensor,
    importance: Tensor | None,
    tables: SearchTables,
    steps: range,
) -> tuple[Tensor, Tensor]:
    """Choose scales and codes.

    Args:
        blocks: float32 [N, 16], in units of the global scale.
        bases: uint8 [N]: the E4M3 byte of amax / 6; zero exactly for blocks of zeros.
        importance: float32 [N, 16], not negative; None: all alike.
        tables: What a scale and a code cost.
        steps: Which scales to try, as distances from `bases` in E4M3 numbers; from -16 to 12.

    Returns:
        (packed codes uint8 [N, 8], scales uint8 [N]). A block of zeros has scale zero; a zero has
        the positive zero's code. Of equal costs, the lower scale and the lower code win.
    """
    parts = [
        _search_chunk(
            blocks[start : start + _BLOCKS_PER_CHUNK],
            bases[start : start + _BLOCKS_PER_CHUNK],
            None if importance is None else importance[start : start + _BLOCKS_PER_CHUNK],
            tables,
            steps,
        )
        for start in range(0, blocks.shape[0], _BLOCKS_PER_CHUNK)
    ]
    return torch.cat([packed for packed, _ in parts]), torch.cat([scales for _, scales in parts])


def _search_chunk(
    blocks: Tensor, bases: Tensor, importance: Tensor | None, tables: SearchTables, steps: range
) -> tuple[Tensor, Tensor]:
    # One row for each place in a block: a block's scale is then broadcast along whole rows.
    weights = blocks.t().contiguous()
    weighing = None if importance is None else importance.t().contiguous()
    lines = _Lines(weights.abs(), weighing, tables)
    zero_row = bases.to(torch.int64) + _BELOW
    best_row = zero_row + steps.start
    best_cost = torch.full(bases.shape, torch.inf, device=blocks.device)
    for step in steps:
        row = zero_row + step
        cost = _tree_sum(lines.lowest(row)).mul_(tables.squares[row]).add_(tables.scale_costs[row])
        better = cost < best_cost
        best_cost = torch.where(better, cost, best_cost)
        best_row = torch.where(better, row, best_row)
    codes = lines.lowest_index(best_row)
    codes.add_(((weights < 0) & (codes > 0)).to(torch.uint8).mul_(E2M1_SIGN_BIT))
    is_zero = bases == 0
    codes = torch.where(is_zero, torch.zeros_like(codes), codes)
    scales = torch.where(is_zero, torch.zeros_like(best_row), best_row - _BELOW)
    return pack_codes(codes.t().contiguous()), scales.to(torch.uint8)


class _Lines:
    """The eight lines in v of a chunk's weights, for one scale a block at a time."""

    def __init__(self, magnitudes: Tensor, importance: Tensor | None, tables: SearchTables) -> None:
        self._magnitudes = magnitudes
        self._importance = importance
        self._tables = tables
        squares = [level * level for level in E2M1_MAGNITUDES]
        self._heights: list[float] | list[Tensor] = squares
        if importance is not None:
            nine = importance * 9  # 2.25, 9 and 36 are multiples of it by powers of two
            self._heights = [
                nine * (square / 9) if square in (2.25, 9, 36) else importance * square
                for square in squares
            ]

    def lowest(self, row: Tensor) -> Tensor:
        """The lowest line's height over every weight: float32 [16, N]."""
        lines = self._each(row)
        lowest = next(lines)
        for line in lines:
            lowest = torch.minimum(lowest, line, out=lowest)
        return lowest

    def lowest_index(self, row: Tensor) -> Tensor:
        """Which line is lowest: uint8 [16, N]."""
        lines = self._each(row)
        lowest = next(lines)
        index = torch.zeros(lowest.shape, dtype=torch.uint8, device=lowest.device)
        for k, line in enumerate(lines, start=1):
            index.masked_fill_(line < lowest, k)
            lowest = torch.minimum(lowest, line)
        return index

    def _each(self, row: Tensor) -> Iterator[Tensor]:
        """The lines in turn, each float32 [16, N]."""
        v = self._magnitudes * self._tables.reciprocals[row]
        if self._importance is not None:
            v.mul_(self._importance)
        three = v * 3
        costs = self._tables.code_costs[:, row]
        yield costs[0].expand(BLOCK_SIZE, -1).contiguous()
        for k, (factor, of_three) in enumerate(_STEPS, start=1):
            height = costs[k] + self._heights[k]
            yield torch.sub(height, three if of_three else v, alpha=factor)


def _tree_sum(values: Tensor) -> Tensor:
    """Sum over 16 rows, always in the same order: halves are added until one row is left."""
    while values.shape[0] > 1:
        half = values.shape[0] // 2
        values = values[:half] + values[half:]
    return values[0]

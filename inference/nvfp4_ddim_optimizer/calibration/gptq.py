"""GPTQ on the NVFP4 grid: every column's rounding error is made up for by the columns after it.

Source: Frantar, Ashkboos, Hoefler and Alistarh, "GPTQ: Accurate Post-Training Quantization for
Generative Pre-trained Transformers", 2023, algorithm 1. New here: scales and codes are chosen with
what they cost in entropy-coded storage, as in `nvfp4.rate_distortion`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from nvfp4_ddim_optimizer.nvfp4 import (
    BLOCK_SIZE,
    E2M1_MAX,
    QuantizedTensor,
    pack_codes,
    packed_shapes,
    quantize_rate_distortion,
    weight_to_matrix,
)
from nvfp4_ddim_optimizer.nvfp4.block_search import SearchTables, search_blocks
from nvfp4_ddim_optimizer.nvfp4.code_lengths import CodeLengths
from nvfp4_ddim_optimizer.nvfp4.constants import E2M1_MAGNITUDES, E2M1_SIGN_BIT
from nvfp4_ddim_optimizer.nvfp4.rate_distortion import RATE_DISTORTION_STEPS, BlockSearch
from nvfp4_ddim_optimizer.nvfp4.rounding import round_to_e4m3
from nvfp4_ddim_optimizer.nvfp4.scales import SWEEP_STEPS

from .statistics import InputStatistics

__all__ = ["quantize_gptq"]

# A share of the mean diagonal is added to the Hessian: inputs that never varied would make it
# singular.
_DAMPING = 0.01
# Columns whose errors are gathered before the columns behind them are changed, in one product.
_COLUMNS_PER_UPDATE = 8 * BLOCK_SIZE


@torch.no_grad()
def quantize_gptq(
    weight: Tensor, statistics: InputStatistics, rate_weight: float
) -> QuantizedTensor:
    """Quantise a weight so that the layer's output, not the weight itself, has the least error.

    A convolution's taps are rows of their own that share one Hessian, see `statistics`. Where
    blocks straddle taps (Cin no multiple of 16) columns are weighed by the Hessian's diagonal
    alone, and no error is passed on.

    Args:
        weight: [out, in] or [out, Cin, kh, kw], floating, finite.
        statistics: Of the layer's input: `in` or Cin features.
        rate_weight: As in `quantize_rate_distortion`; 0 minimises the error alone.

    Returns:
        The quantised weight.

    Raises:
        InvalidInputError: The weight can't be quantised, or `rate_weight` is out of range.
    """
    features = statistics.mean.numel()
    columns = weight_to_matrix(weight).shape[1]
    factor = _inverse_factor(statistics.second_moment)
    # What an error in a column costs once the columns after it have made up for it.
    importance = factor.diagonal().square().reciprocal()
    if columns != features and features % BLOCK_SIZE:
        taps = columns // features
        return quantize_rate_distortion(weight, rate_weight, importance=importance.repeat(taps))
    matrix = weight_to_matrix(weight).reshape(-1, features)
    search = BlockSearch(matrix, importance)
    rate = rate_weight * search.variance
    lengths = search.fit(rate) if rate_weight else CodeLengths.typical()
    walk = _Walk(
        factor=factor,
        importance=importance / importance.mean(),
        tables=SearchTables.build(lengths, rate, matrix.device),
        code_costs=rate * lengths.codes.unsqueeze(1),
        steps=RATE_DISTORTION_STEPS if rate_weight else SWEEP_STEPS,
    )
    codes, scales = walk.run(matrix.to(torch.float32) / search.global_scale)
    code_shape, scale_shape = packed_shapes(tuple(weight.shape))
    return QuantizedTensor(
        codes=pack_codes(codes).view(code_shape),
        scales=scales.view(torch.float8_e4m3fn).view(scale_shape),
        global_scale=search.global_scale,
        shape=tuple(weight.shape),
    )


def _inverse_factor(second_moment: Tensor) -> Tensor:
    """U, upper triangular, with U^T U = H^-1; float32 [C, C]."""
    hessian = second_moment.to(torch.float64)
    scale = hessian.diagonal().mean()
    # A layer whose input was always zero: all columns alike.
    hessian = hessian / scale if scale > 0 else torch.zeros_like(hessian)
    hessian.diagonal().add_(_DAMPING)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    factor: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor.to(torch.float32)


@dataclass(frozen=True, eq=False)
class _Walk:
    """One pass over a weight's columns. Weights are in units of the global scale.

    Attributes:
        factor: U of `_inverse_factor`, [C, C].
        importance: float32 [C], its mean 1.
        tables: What scales cost, and codes at each of them.
        code_costs: float32 [8, 1]: squared error that the bits of each code are worth.
        steps: Block scales to try, around amax/6.
    """

    factor: Tensor
    importance: Tensor
    tables: SearchTables
    code_costs: Tensor
    steps: range

    def run(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Quantise.

        Args:
            rows: float32 [R, C].

        Returns:
            (codes uint8 [R, C_pad], E4M3 bytes uint8 [R, C_pad / 16]).
        """
        features = rows.shape[1]
        pending = rows.t().contiguous()  # a column in one piece of memory
        padded = -(-features // BLOCK_SIZE) * BLOCK_SIZE
        codes = torch.zeros((padded, rows.shape[0]), dtype=torch.uint8)
        scales = []
        for start in range(0, features, _COLUMNS_PER_UPDATE):
            stop = min(start + _COLUMNS_PER_UPDATE, features)
            errors = torch.empty((stop - start, rows.shape[0]))
            for first in range(start, stop, BLOCK_SIZE):
                last = min(first + BLOCK_SIZE, stop)
                scale = self._choose_scale(pending[first:last], first)
                scales.append(scale)
                values = scale.view(torch.float8_e4m3fn).to(torch.float32)
                for column in range(first, last):
                    code, error = self._round(pending[column], values, column)
                    codes[column] = code
                    errors[column - start] = error
                    ahead = self.factor[column, column + 1 : stop]
                    pending[column + 1 : stop].addr_(ahead, error, alpha=-1)
            pending[stop:].addmm_(self.factor[start:stop, stop:].t(), errors, alpha=-1)
        return codes.t().contiguous(), torch.stack(scales, dim=1)

    def _choose_scale(self, block: Tensor, first: int) -> Tensor:
        """E4M3 bytes [R] for a block [16, R], or fewer columns at the end of a row."""
        missing = BLOCK_SIZE - block.shape[0]
        blocks = pad(block.t(), (0, missing)).contiguous()
        bases = round_to_e4m3(blocks.abs().amax(dim=1) / E2M1_MAX).view(torch.uint8)
        weighing = pad(self.importance[first : first + block.shape[0]], (0, missing))
        weighing = weighing.expand_as(blocks)
        return search_blocks(blocks, bases, weighing, self.tables, self.steps)[1]

    def _round(self, weights: Tensor, scales: Tensor, column: int) -> tuple[Tensor, Tensor]:
        """Codes of a column [R], and its error divided by the factor's diagonal."""
        magnitudes = torch.tensor(E2M1_MAGNITUDES).unsqueeze(1) * scales
        costs = (magnitudes - weights.abs()).square_().mul_(self.importance[column])
        costs.add_(self.code_costs)
        index = torch.where(scales > 0, costs.argmin(dim=0), 0)
        value = magnitudes.gather(0, index.unsqueeze(0)).squeeze(0).copysign(weights)
        negative = (weights < 0) & (index > 0)
        code = index.to(torch.uint8) + negative.to(torch.uint8) * E2M1_SIGN_BIT
        return code, (weights - value) / self.factor[column, column]

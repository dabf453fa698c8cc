"""The calibrated quantiser: what `nvfp4.Quantizer` is with statistics at hand."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from nvfp4_ddim_contracts import Calibrated
from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor, quantize_rate_distortion

from .gptq import quantize_gptq
from .statistics import InputStatistics

__all__ = ["CalibratedQuantizer"]


@dataclass(frozen=True, eq=False)
class CalibratedQuantizer:
    """Least error of a layer's output for its entropy-coded size. See `quantize_gptq`.

    Attributes:
        record: How the statistics were gathered, and what a bit is worth.
        statistics: Of layers' inputs, by component and path, such as "unet.conv_in". A layer
            that was never called has none, and is quantised by its weight alone.
    """

    record: Calibrated
    statistics: Mapping[str, InputStatistics]

    def quantize(self, layer: str, weight: Tensor) -> QuantizedTensor:
        """Quantise a layer's weight."""
        if layer not in self.statistics:
            return quantize_rate_distortion(weight, self.record.rate_weight)
        return quantize_gptq(weight, self.statistics[layer], self.record.rate_weight)

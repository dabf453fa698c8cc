"""Which rate weight gives an artifact of a certain size.

Size falls as the rate weight grows, nearly linearly in its logarithm. It is found on a sample of
every layer, with the bits that the sample's code and scale frequencies say (`entropy_bits`), which
storage comes close to.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nvfp4_ddim_contracts import RateDistortion
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import RateDistortionQuantizer, entropy_bits, weight_to_matrix

__all__ = ["LayerSample", "StorageModel", "sample_layer"]

_SAMPLE_WEIGHTS = 1 << 14
_MIN_ROWS = 4
# What zstd's Huffman code takes above the entropy, in bits a weight: codes and scales together.
_CODER_LOSS = 0.025
# Beyond, more than half of a Gaussian weight is lost.
_MAX_RATE_WEIGHT = 0.128
_MIN_RATE_WEIGHT = 0.001
_MAX_TRIALS = 10
_TOLERANCE = 1e-3
_DIGITS = 4


@dataclass(frozen=True, eq=False)
class LayerSample:
    """Some rows of a layer's weight.

    Attributes:
        layer: Component and path, such as "unet.conv_in".
        rows: float32 [rows, K].
        weights: How many weights the whole layer has, padding included.
    """

    layer: str
    rows: Tensor
    weights: int


def sample_layer(layer: str, weight: Tensor) -> LayerSample:
    """Take rows from all over a weight.

    Args:
        layer: Component and path.
        weight: The layer's weight. Where it is mapped from a file, only these rows are read.
    """
    outputs = weight.shape[0]
    columns = math.prod(weight.shape[1:])
    count = min(outputs, max(_MIN_ROWS, math.ceil(_SAMPLE_WEIGHTS / columns)))
    chosen = torch.linspace(0, outputs - 1, count).round().to(torch.int64)
    rows = weight_to_matrix(weight.detach()[chosen].to(torch.float32)).contiguous()
    return LayerSample(layer, rows, outputs * (columns + -columns % 16))


@dataclass(frozen=True, eq=False)
class StorageModel:
    """The size of an artifact, as a function of the rate weight.

    Attributes:
        samples: Of all layers that are quantised.
        kept_bytes: What everything else takes.
    """

    samples: tuple[LayerSample, ...]
    kept_bytes: int
    _sizes: dict[float, float] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, weights: Iterable[tuple[str, Tensor]], kept_bytes: int) -> "StorageModel":
        """Sample layers.

        Args:
            weights: (component and path, weight) of each.
            kept_bytes: What everything else takes.
        """
        return cls(tuple(sample_layer(*named) for named in weights), kept_bytes)

    def bytes_at(self, rate_weight: float) -> float:
        """The expected size of the artifact."""
        quantizer = RateDistortionQuantizer(RateDistortion(rate_weight=rate_weight))
        bits = sum(
            sample.weights * (sum(entropy_bits(quantizer.quantize(sample.layer, sample.rows))))
            for sample in self.samples
        )
        coder = _CODER_LOSS * sum(sample.weights for sample in self.samples)
        return self.kept_bytes + (bits + coder) / 8

    def rate_weight_for(self, target_bytes: float) -> float:
        """A rate weight whose expected size is not above a target, and close to it.

        Args:
            target_bytes: What the artifact may take.

        Returns:
            A rate weight of four digits.

        Raises:
            InvalidInputError: No rate weight makes the artifact that small.
        """
        if self._size(0.0) <= target_bytes:
            return 0.0
        low, high = _MIN_RATE_WEIGHT, _MAX_RATE_WEIGHT
        if self._size(high) > target_bytes:
            raise InvalidInputError(
                f"NVFP4 can't take less than about {self._size(high) / 1e6:.1f} MB here, of which "
                f"{self.kept_bytes / 1e6:.1f} MB are layers that stay as they are; "
                f"{target_bytes / 1e6:.1f} MB were asked for"
            )
        if self._size(low) <= target_bytes:
            return low
        for _ in range(_MAX_TRIALS):
            if self._size(high) >= target_bytes * (1 - _TOLERANCE):
                break
            middle = self._between(low, high, target_bytes)
            if self._size(middle) <= target_bytes:
                high = middle
            else:
                low = middle
        return high

    def _between(self, low: float, high: float, target_bytes: float) -> float:
        """Where size, linear in log(rate weight), would be a little under the target."""
        above, below = self._size(low), self._size(high)
        aim = target_bytes * (1 - _TOLERANCE / 2)
        share = min(max((above - aim) / (above - below), 0.1), 0.9)
        middle = math.exp(math.log(low) * (1 - share) + math.log(high) * share)
        return float(f"{middle:.{_DIGITS}g}")

    def _size(self, rate_weight: float) -> float:
        if rate_weight not in self._sizes:
            self._sizes[rate_weight] = self.bytes_at(rate_weight)
        return self._sizes[rate_weight]

"""One interface for every way of choosing scales and codes.

    record (what a manifest says) --quantizer_for--> Quantizer --quantize(layer, weight)--> NVFP4

A method that needs more than the weight (activation statistics, say) is a quantiser that was built
with them, and finds a layer's share by the layer's name.
"""

from dataclasses import dataclass
from typing import Protocol, assert_never

from torch import Tensor

from nvfp4_ddim_contracts import DataFree, Elsewhere, Quantization, RateDistortion
from nvfp4_ddim_optimizer.errors import InvalidInputError

from .quantize import quantize
from .rate_distortion import quantize_rate_distortion
from .tensor import QuantizedTensor

__all__ = ["DataFreeQuantizer", "Quantizer", "RateDistortionQuantizer", "quantizer_for"]


class Quantizer(Protocol):
    """Quantises the weights of a model, one at a time and in any order."""

    @property
    def record(self) -> Quantization:
        """How it quantises, for the manifest: equal records give equal bytes."""

    def quantize(self, layer: str, weight: Tensor) -> QuantizedTensor:
        """Quantise a layer's weight.

        Args:
            layer: Component and path inside it, such as "unet.conv_in".
            weight: Floating-point, all finite; see `nvfp4.quantize`.

        Raises:
            InvalidInputError: The weight can't be quantised.
        """


@dataclass(frozen=True)
class DataFreeQuantizer:
    """Least error for each block, by a search over its scales. See `nvfp4.quantize`."""

    record: DataFree

    def quantize(self, layer: str, weight: Tensor) -> QuantizedTensor:
        """Quantise a layer's weight; its name makes no difference."""
        del layer
        return quantize(weight, self.record.scale_search)


@dataclass(frozen=True)
class RateDistortionQuantizer:
    """Least error for its entropy-coded size. See `nvfp4.quantize_rate_distortion`."""

    record: RateDistortion

    def quantize(self, layer: str, weight: Tensor) -> QuantizedTensor:
        """Quantise a layer's weight; its name makes no difference."""
        del layer
        return quantize_rate_distortion(weight, self.record.rate_weight)


def quantizer_for(record: DataFree | RateDistortion | Elsewhere) -> Quantizer:
    """The quantiser that a record describes.

    Args:
        record: A method that needs nothing but weights.

    Raises:
        InvalidInputError: Another tool quantised the weights.
    """
    match record:
        case DataFree():
            return DataFreeQuantizer(record)
        case RateDistortion():
            return RateDistortionQuantizer(record)
        case Elsewhere():
            raise InvalidInputError(f"how {record.tool} quantised can't be repeated here")
        case _:
            assert_never(record)

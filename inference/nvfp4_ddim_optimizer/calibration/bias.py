"""Bias correction: what quantisation adds to a layer's output on average, taken away again."""

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor, dequantize, weight_to_matrix

from .statistics import InputStatistics

__all__ = ["correct_bias"]


def correct_bias(
    weight: Tensor, quantized: QuantizedTensor, bias: Tensor, statistics: InputStatistics
) -> Tensor:
    """The bias with which a quantised layer's mean output is the original's.

    A convolution's zero padding is not counted: away from the border the correction is exact.

    Args:
        weight: The layer's own weight, [out, in] or [out, Cin, kh, kw].
        quantized: What became of it.
        bias: float [out].
        statistics: Of the layer's input.

    Returns:
        [out], of the bias's dtype: b + (W - W_q) E[x].

    Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
        2019, section 4.2.
    """
    error = weight_to_matrix(weight.to(torch.float32) - dequantize(quantized))
    taps = error.shape[1] // statistics.mean.numel()
    shift = error @ statistics.mean.repeat(taps)
    return (bias.to(torch.float32) + shift).to(bias.dtype)

"""NVFP4Linear and NVFP4Conv2d.

A layer's state_dict is NVIDIA ModelOpt's layout: `weight` uint8 [out, K_pad / 2], `weight_scale`
float8_e4m3fn [out, K_pad / 16], `weight_scale_2` float32 [], `bias`. A convolution's weight is
the matrix [out, kh * kw * Cin / groups], see `weight_to_matrix`.

They are no subclasses of nn.Linear and nn.Conv2d: code that finds one of those reads or initialises
a floating-point weight, and must not find it here.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Self

import torch
from torch import Tensor, nn

from nvfp4_ddim_contracts import ScaleSearch
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import (
    QuantizedTensor,
    dequantize_matrix,
    matrix_to_weight,
    packed_shapes,
    quantize,
    swizzle_scales,
)

from .scaled_matmul import gains_by_fp4, scaled_linear
from .winograd import convolve_3x3, suits_input, suits_weight

__all__ = ["NVFP4Conv2d", "NVFP4Layer", "NVFP4Linear", "Residency", "set_residency"]

Device = torch.device | str | None

# Integers of the same width: a cast of floating-point tensors leaves them alone.
_CAST_PROOF = {
    torch.uint8: torch.uint8,
    torch.float8_e4m3fn: torch.uint8,
    torch.float32: torch.int32,
}
_PACKED = ("weight", "weight_scale", "weight_scale_2")


class Residency(StrEnum):
    """What a layer keeps in memory between calls."""

    PACKED = "packed"
    """NVFP4 alone, dequantised in every call: 4.5 bits a weight."""

    RESIDENT = "resident"
    """The dequantised weight too, made in the first call: as fast as the plain layer.

    Layers that are faster straight from their codes never make one."""


class NVFP4Layer(nn.Module):
    """What both layers share: the packed weight, and how it is dequantised, moved and kept.

    Attributes:
        shape: Shape of the original weight.
        residency: See `Residency`; `set_residency` changes it.
    """

    weight: Tensor
    weight_scale: Tensor
    weight_scale_2: Tensor
    bias: nn.Parameter | None
    dense: Tensor | None
    swizzled_scales: Tensor | None

    def __init__(self, shape: tuple[int, ...], *, bias: bool, device: Device = None) -> None:
        super().__init__()
        self.shape = shape
        self.residency = Residency.PACKED
        codes, scales = packed_shapes(shape)
        self.register_buffer("weight", torch.empty(codes, dtype=torch.uint8, device=device))
        self.register_buffer(
            "weight_scale", torch.empty(scales, dtype=torch.float8_e4m3fn, device=device)
        )
        self.register_buffer("weight_scale_2", torch.empty((), dtype=torch.float32, device=device))
        self.register_buffer("dense", None, persistent=False)
        self.register_buffer("swizzled_scales", None, persistent=False)
        # A parameter, so that a model of quantised layers alone still has a floating dtype.
        values = torch.empty(shape[0], device=device) if bias else None
        self.bias = None if values is None else nn.Parameter(values, requires_grad=False)

    @property
    def quantized(self) -> QuantizedTensor:
        """The packed weight, sharing this layer's memory."""
        return QuantizedTensor(self.weight, self.weight_scale, self.weight_scale_2, self.shape)

    def load(self, quantized: QuantizedTensor, bias: Tensor | None) -> None:
        """Take a quantised weight over, sharing its memory, and a copy of a bias as it is.

        Args:
            quantized: Of this layer's shape.
            bias: [out] or None; a bias on the meta device is one that is still to be filled in.

        Raises:
            InvalidInputError: The weight's shape is not this layer's.
        """
        if quantized.shape != self.shape:
            raise InvalidInputError(
                f"a weight of shape {quantized.shape} does not fit a layer of {self.shape}"
            )
        self.weight = quantized.codes
        self.weight_scale = quantized.scales
        self.weight_scale_2 = quantized.global_scale
        self.dense = self.swizzled_scales = None
        if bias is not None:
            self.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)

    def dense_weight(self, x: Tensor) -> Tensor:
        """The dequantised weight for an input.

        Args:
            x: The layer's input.

        Returns:
            `x.dtype`, of shape `self.shape`; a convolution's is channels_last, and so will its
            output be.
        """
        if self.dense is not None and self.dense.dtype == x.dtype:
            return self.dense
        matrix = dequantize_matrix(
            self.weight, self.weight_scale, self.weight_scale_2, dtype=x.dtype
        )
        dense = matrix_to_weight(matrix, self.shape)
        if self.residency is Residency.RESIDENT:
            if dense.dim() == 4:  # where columns were padded, the rows lie apart
                dense = dense.contiguous(memory_format=torch.channels_last)
            self.dense = dense
        return dense

    def dense_bias(self, x: Tensor) -> Tensor | None:
        """The bias [out] in the dtype of an input, or None where the layer has none."""
        return None if self.bias is None else self.bias.to(x.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move and cast: `.to(dtype)` must reach the bias, never the codes and scales.

        torch casts every floating-point buffer, float8 scales included; the packed weight goes
        through `fn` disguised as integers. What was dequantised is dropped, to be made again
        from the exact weight.
        """
        self.dense = self.swizzled_scales = None
        packed = {name: _apply_to_packed(fn, self.get_buffer(name)) for name in _PACKED}
        self._buffers.update(dict.fromkeys(packed))  # torch skips buffers that are None
        try:
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        finally:
            self._buffers.update(packed)
        return self


class NVFP4Linear(NVFP4Layer):
    """nn.Linear with its weight in NVFP4: y = x W^T + b."""

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool = True, device: Device = None
    ) -> None:
        super().__init__((out_features, in_features), bias=bias, device=device)
        self.in_features = in_features
        self.out_features = out_features

    @classmethod
    def empty_like(cls, layer: nn.Linear, device: Device = "meta") -> Self:
        """A layer of the same shape whose packed weight is still to be filled in."""
        return cls(
            layer.in_features, layer.out_features, bias=layer.bias is not None, device=device
        )

    @classmethod
    def from_float(cls, layer: nn.Linear, search: ScaleSearch = ScaleSearch.FOUR_OVER_SIX) -> Self:
        """Quantise a layer.

        Args:
            layer: Its weight is [out_features, in_features], of any floating-point type.
            search: How block scales are chosen.

        Raises:
            InvalidInputError: The weight is not finite.
        """
        quantized = cls.empty_like(layer)
        quantized.load(quantize(layer.weight, search), layer.bias)
        return quantized

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer.

        Args:
            x: [..., in_features], float32, float16 or bfloat16.

        Returns:
            [..., out_features] in `x.dtype`.
        """
        if gains_by_fp4(x, self.weight):
            return self._multiply_fp4(x)
        return nn.functional.linear(x, self.dense_weight(x), self.dense_bias(x))

    def _multiply_fp4(self, x: Tensor) -> Tensor:
        """The same on FP4 tensor cores; the order that they read scales in is kept."""
        if self.swizzled_scales is None:
            self.swizzled_scales = swizzle_scales(self.weight_scale)
        return scaled_linear(
            x, self.weight, self.swizzled_scales, self.weight_scale_2, self.dense_bias(x)
        )

    def extra_repr(self) -> str:
        """What print(model) shows."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}, residency={self.residency}"
        )


class NVFP4Conv2d(NVFP4Layer):
    """nn.Conv2d (zero padding) with its weight in NVFP4."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] | str = (0, 0),
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        bias: bool = True,
        device: Device = None,
    ) -> None:
        super().__init__(
            (out_channels, in_channels // groups, *kernel_size), bias=bias, device=device
        )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        self._suits_winograd = suits_weight(self.shape, stride, padding, dilation, groups)

    @classmethod
    def empty_like(cls, layer: nn.Conv2d, device: Device = "meta") -> Self:
        """A layer of the same shape whose packed weight is still to be filled in.

        Raises:
            InvalidInputError: The layer pads with something else than zeros.
        """
        if layer.padding_mode != "zeros":
            raise InvalidInputError(f"padding mode {layer.padding_mode!r} is not supported")
        return cls(
            layer.in_channels,
            layer.out_channels,
            _pair(layer.kernel_size),
            stride=_pair(layer.stride),
            padding=layer.padding if isinstance(layer.padding, str) else _pair(layer.padding),
            dilation=_pair(layer.dilation),
            groups=layer.groups,
            bias=layer.bias is not None,
            device=device,
        )

    @classmethod
    def from_float(cls, layer: nn.Conv2d, search: ScaleSearch = ScaleSearch.FOUR_OVER_SIX) -> Self:
        """Quantise a layer.

        Args:
            layer: Its weight is [out, in / groups, kh, kw], of any floating-point type.
            search: How block scales are chosen.

        Raises:
            InvalidInputError: The weight is not finite, or the layer pads with something else
                than zeros.
        """
        quantized = cls.empty_like(layer)
        quantized.load(quantize(layer.weight, search), layer.bias)
        return quantized

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer.

        Args:
            x: [B, in_channels, H, W], float32, float16 or bfloat16.

        Returns:
            [B, out_channels, H', W'] in `x.dtype`.
        """
        if self._suits_winograd and suits_input(x):
            return convolve_3x3(x, self.weight, self.weight_scale, self.weight_scale_2, self.bias)
        return nn.functional.conv2d(
            x,
            self.dense_weight(x),
            self.dense_bias(x),
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )

    def extra_repr(self) -> str:
        """What print(model) shows."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"groups={self.groups}, bias={self.bias is not None}, residency={self.residency}"
        )


def set_residency(module: nn.Module, residency: Residency) -> None:
    """Choose between memory and speed for every NVFP4 layer inside a module.

    Args:
        module: Any module, such as a pipeline's UNet.
        residency: PACKED frees what was dequantised; RESIDENT keeps it from the next call on.
    """
    for layer in module.modules():
        if isinstance(layer, NVFP4Layer):
            layer.residency = residency
            if residency is Residency.PACKED:
                layer.dense = None


def _pair(value: tuple[int, ...]) -> tuple[int, int]:
    height, width = value
    return height, width


def _apply_to_packed(fn: Callable[[Tensor], Tensor], tensor: Tensor) -> Tensor:
    disguised = tensor.view(_CAST_PROOF[tensor.dtype])
    moved = fn(disguised)
    if moved.dtype != disguised.dtype:  # Module.type() casts integers too
        moved = disguised.to(moved.device)
    return moved.view(tensor.dtype)

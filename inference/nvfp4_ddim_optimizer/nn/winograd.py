"""3x3 convolutions by Winograd's algorithm, straight from NVFP4 codes or with plain weights.

The native kernel does it; where it can't be used, torch convolves, a packed weight dequantised.
Results differ by some 1e-6 of their magnitude, as they do between any two float32 convolutions.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015.
"""

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.native import library
from nvfp4_ddim_optimizer.nvfp4 import BLOCK_SIZE, dequantize_matrix, matrix_to_weight

__all__ = ["convolve_3x3", "convolve_3x3_dense", "suits_input", "suits_weight"]

# Tiles of 4x4 output pixels. A single one can't make up for transforming the weights.
_MIN_TILES = 2


def suits_weight(
    shape: tuple[int, ...],
    stride: tuple[int, int],
    padding: tuple[int, int] | str,
    dilation: tuple[int, int],
    groups: int,
) -> bool:
    """Whether a convolution is of the kind that `convolve_3x3` computes.

    Args:
        shape: Of its weight, OIHW.
        stride: Of the convolution, as are the others.
        padding: Zeros on each side.
        dilation: Distance between taps.
        groups: Number of groups.
    """
    return (
        shape[2:] == (3, 3)
        and shape[1] % BLOCK_SIZE == 0
        and stride == (1, 1)
        and padding in ((1, 1), "same")
        and dilation == (1, 1)
        and groups == 1
    )


def suits_input(x: Tensor) -> bool:
    """Whether `convolve_3x3` is faster than torch for an input [B, C, H, W].

    On every shape measured with two tiles or more it is, even against a weight that was dequantised
    beforehand. It has no gradient.
    """
    if x.dim() != 4 or x.dtype != torch.float32 or x.device.type != "cpu":
        return False
    if torch.is_grad_enabled() and x.requires_grad:
        return False
    batch, _, height, width = x.shape
    tiles = batch * -(-height // 4) * -(-width // 4)
    return bool(tiles >= _MIN_TILES) and (torch.compiler.is_compiling() or library() is not None)


def convolve_3x3(
    x: Tensor, codes: Tensor, scales: Tensor, global_scale: Tensor, bias: Tensor | None
) -> Tensor:
    """Convolve with a weight of 3x3 taps, stride 1, padding 1.

    Args:
        x: float32 [B, C, H, W] of the CPU, C a multiple of 16; fastest if it is channels_last.
        codes: uint8 [O, 9 C / 2], the taps' input channels together (OHWI).
        scales: float8_e4m3fn [O, 9 C / 16].
        global_scale: float32 [].
        bias: [O] or None.

    Returns:
        float32 [B, O, H, W], channels_last.
    """
    if torch.compiler.is_compiling():
        result: Tensor = _opaque_convolve(x, codes, scales, global_scale, bias)
        return result
    return _convolve(x, codes, scales, global_scale, bias)


def convolve_3x3_dense(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve with a plain weight of 3x3 taps, stride 1, padding 1.

    Args:
        x: float32 [B, C, H, W] of the CPU, C a multiple of 16; fastest if it is channels_last.
        weight: float32 [O, C, 3, 3]; fastest if it is channels_last.
        bias: float32 [O] or None.

    Returns:
        float32 [B, O, H, W], channels_last.
    """
    kernels = None if torch.compiler.is_compiling() else library()
    if kernels is None:
        out = torch.nn.functional.conv2d(x, weight, bias, padding=1)
        return out.contiguous(memory_format=torch.channels_last)
    out = _empty_output(x, weight)
    x, weight = (part.contiguous(memory_format=torch.channels_last) for part in (x, weight))
    kernels.convolve_dense(x, weight, None if bias is None else bias.contiguous(), out)
    return out


def _convolve(
    x: Tensor, codes: Tensor, scales: Tensor, global_scale: Tensor, bias: Tensor | None
) -> Tensor:
    kernels = library() if type(x) in (Tensor, torch.nn.Parameter) else None
    if bias is not None:
        bias = bias.to(x.dtype)
    if kernels is None:
        matrix = dequantize_matrix(codes, scales, global_scale, dtype=x.dtype)
        weight = matrix_to_weight(matrix, (codes.shape[0], x.shape[1], 3, 3))
        out = torch.nn.functional.conv2d(x, weight, bias, padding=1)
        return out.contiguous(memory_format=torch.channels_last)
    out = _empty_output(x, codes)
    kernels.convolve(
        x.contiguous(memory_format=torch.channels_last),
        (codes.contiguous(), scales.contiguous(), global_scale),
        None if bias is None else bias.contiguous(),
        out,
    )
    return out


def _empty_output(x: Tensor, weight: Tensor) -> Tensor:
    batch, _, height, width = x.shape
    return torch.empty(
        (batch, weight.shape[0], height, width),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last,
    )


# What torch.compile and torch.export see: one operator, which chooses when it runs.
_opaque_convolve = torch.library.custom_op(
    "nvfp4_ddim::convolve_3x3", _convolve, mutates_args=(), device_types="cpu"
)


@_opaque_convolve.register_fake
def _(
    x: Tensor, codes: Tensor, scales: Tensor, global_scale: Tensor, bias: Tensor | None
) -> Tensor:
    del scales, global_scale, bias
    return _empty_output(x, codes)

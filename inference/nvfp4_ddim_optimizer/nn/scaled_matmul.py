"""Linear layers on Blackwell's FP4 tensor cores.

x --per-tensor and block scales chosen in the call--> NVFP4 --scaled_mm with the packed weight--> y

Both operands are NVFP4, so the activations lose precision that the dequantising path keeps. Used
where the device has the instructions and the product is large enough to gain by them; everywhere
else weights are dequantised. Never run on such a GPU: the layout of every buffer is proved on a
CPU, by an emulation of `scaled_mm` that reads these buffers as the hardware does.

Source: NVIDIA, cuBLAS documentation, sections on narrow-precision data types and 1D block scaling;
PyTorch, `torch.nn.functional.scaled_mm` (2.10 and later).
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import ScalingType, SwizzleType, pad, scaled_mm

from nvfp4_ddim_contracts import ScaleSearch
from nvfp4_ddim_optimizer.machine import is_fp4_capability
from nvfp4_ddim_optimizer.nvfp4 import (
    BLOCK_SIZE,
    block_reciprocals,
    choose_block_scales,
    choose_global_scale,
    encode_e2m1,
    pack_codes,
    swizzle_scales,
)

__all__ = ["gains_by_fp4", "has_fp4_matmul", "quantize_activations", "scaled_linear"]

_MIN_CUDA = (12, 8)
# cuBLAS wants 16-byte rows: 32 codes of the reduction, and 16 outputs.
_K_ALIGNMENT = 32
_N_ALIGNMENT = 16
# Below a product of three sides of 2048, quantising the activations takes longer than FP4 saves.
_MIN_MULTIPLICATIONS = 2048**3
_RECIPE = [ScalingType.BlockWise1x16, ScalingType.TensorWise]
_SWIZZLE = [SwizzleType.SWIZZLE_32_4_4, SwizzleType.NO_SWIZZLE]
_OUTPUT_DTYPES = (torch.bfloat16, torch.float16)


def has_fp4_matmul(device: torch.device) -> bool:
    """Whether a device multiplies NVFP4: compute capability 10.x or 12.x, CUDA 12.8 or later."""
    # torch.compile warns of cached functions: on a CPU it is not to meet one.
    return device.type == "cuda" and _cuda_has_fp4_matmul(device)


@lru_cache(maxsize=16)
def _cuda_has_fp4_matmul(device: torch.device) -> bool:
    if torch.version.cuda is None:
        return False
    if tuple(map(int, torch.version.cuda.split(".")[:2])) < _MIN_CUDA:
        return False
    return is_fp4_capability(torch.cuda.get_device_capability(device))


def gains_by_fp4(x: Tensor, codes: Tensor) -> bool:
    """Whether a linear layer is run as NVFP4 times NVFP4.

    Args:
        x: The layer's input, [..., K].
        codes: The packed weight, uint8 [N, K_pad / 2].

    Returns:
        True where the device can, the shape fits, and the product is large enough.
    """
    if not has_fp4_matmul(x.device) or x.dtype not in _OUTPUT_DTYPES:
        return False
    rows, k = codes.shape[0], x.shape[-1]
    if k != 2 * codes.shape[1] or k % _K_ALIGNMENT or rows % _N_ALIGNMENT:
        return False
    return x.numel() * rows >= _MIN_MULTIPLICATIONS


def quantize_activations(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Quantise activations by the largest magnitudes of the tensor and of each block.

    Nothing is read back from the device, so that the host runs ahead.

    Args:
        x: float32, float16 or bfloat16 [M, K], finite; K is padded with zeros to 16.

    Returns:
        Codes uint8 [M, K_pad / 2], scales float8_e4m3fn [M, K_pad / 16], global scale float32 [].
    """
    values = pad(x.to(torch.float32), (0, -x.shape[1] % BLOCK_SIZE))
    blocks = values.reshape(-1, BLOCK_SIZE)
    global_scale = choose_global_scale(blocks.abs().amax(), ScaleSearch.ABSMAX)
    scales = choose_block_scales(blocks, global_scale, ScaleSearch.ABSMAX)
    codes = pack_codes(encode_e2m1(blocks * block_reciprocals(scales, global_scale)))
    return codes.view(x.shape[0], -1), scales.view(x.shape[0], -1), global_scale


def scaled_linear(
    x: Tensor,
    codes: Tensor,
    swizzled_scales: Tensor,
    global_scale: Tensor,
    bias: Tensor | None,
    *,
    multiply: Callable[..., Any] = scaled_mm,
) -> Tensor:
    """y = x W^T + b with both operands in NVFP4.

    The bias is added outside: several releases of cuBLAS refuse one beside a global scale.

    Args:
        x: [..., K], bfloat16 or float16.
        codes: The packed weight, uint8 [N, K_pad / 2].
        swizzled_scales: The weight's block scales from `swizzle_scales`.
        global_scale: The weight's global scale, float32 [].
        bias: [N] in `x.dtype`, or None.
        multiply: `torch.nn.functional.scaled_mm`, or what stands in for it.

    Returns:
        [..., N] in `x.dtype`.
    """
    x_codes, x_scales, x_global = quantize_activations(x.reshape(-1, x.shape[-1]))
    product: Tensor = multiply(
        x_codes.view(torch.float4_e2m1fn_x2),
        codes.view(torch.float4_e2m1fn_x2).t(),
        scale_a=[swizzle_scales(x_scales).flatten(), x_global],
        scale_recipe_a=_RECIPE,
        scale_b=[swizzled_scales.flatten(), global_scale],
        scale_recipe_b=_RECIPE,
        swizzle_a=_SWIZZLE,
        swizzle_b=_SWIZZLE,
        output_dtype=x.dtype,
    )
    result = product.reshape(*x.shape[:-1], codes.shape[0])
    return result if bias is None else result + bias

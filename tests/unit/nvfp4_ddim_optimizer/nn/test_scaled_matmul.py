"""The buffers handed to `scaled_mm` are laid out as Blackwell reads them, by emulation on a CPU."""

import functools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import ScalingType, SwizzleType

from nvfp4_ddim_contracts import ScaleSearch
from nvfp4_ddim_optimizer.nn import NVFP4Linear, layers, scaled_matmul
from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor, decode_e2m1, dequantize, swizzle_scales

FP4 = torch.float4_e2m1fn_x2


def read_operand(codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """One operand as the tensor cores read it: byte by byte from the swizzled buffer, in float64.

    Source: cuBLAS documentation, "1D Block Scaling Factors Layout": the scale of row r, block c
    lies at 512 * tile + (r % 32) * 16 + (r % 128) / 32 * 4 + c % 4.
    """
    rows, half = codes.shape
    data = codes.view(torch.uint8)
    values = torch.empty(rows, 2 * half, dtype=torch.float64)
    values[:, 0::2] = decode_e2m1(data & 15, torch.float64)
    values[:, 1::2] = decode_e2m1(data >> 4, torch.float64)
    row = torch.arange(rows).view(-1, 1)
    block = torch.arange(half // 8).view(1, -1)
    tile = row // 128 * -(-(half // 8) // 4) + block // 4
    address = 512 * tile + row % 32 * 16 + row % 128 // 32 * 4 + block % 4
    factors = scales.view(torch.uint8)[address].view(torch.float8_e4m3fn).double()
    return values * factors.repeat_interleave(16, dim=1)


def emulated_scaled_mm(
    a: torch.Tensor,
    b: torch.Tensor,
    *,
    scale_a: list[torch.Tensor],
    scale_recipe_a: list[ScalingType],
    scale_b: list[torch.Tensor],
    scale_recipe_b: list[ScalingType],
    swizzle_a: list[SwizzleType],
    swizzle_b: list[SwizzleType],
    output_dtype: torch.dtype,
) -> torch.Tensor:
    """`scaled_mm` of two NVFP4 operands; refuses what the CUDA kernel refuses."""
    assert a.dtype == b.dtype == FP4
    assert a.is_contiguous()
    assert b.t().is_contiguous()  # the second operand is column-major
    assert a.shape[1] == b.shape[0]
    for recipe in (scale_recipe_a, scale_recipe_b):
        assert recipe == [ScalingType.BlockWise1x16, ScalingType.TensorWise]
    for swizzle in (swizzle_a, swizzle_b):
        assert swizzle == [SwizzleType.SWIZZLE_32_4_4, SwizzleType.NO_SWIZZLE]
    for (blocks, whole), rows in ((scale_a, a.shape[0]), (scale_b, b.shape[1])):
        assert blocks.dtype == torch.float8_e4m3fn
        assert whole.dtype == torch.float32
        assert whole.numel() == 1
        padded = -(-rows // 128) * 128 * (-(-(a.shape[1] // 8) // 4) * 4)
        assert blocks.numel() == padded
        assert blocks.is_contiguous()
    product = read_operand(a, scale_a[0]) @ read_operand(b.t(), scale_b[0]).t()
    return (product * scale_a[1].double() * scale_b[1].double()).to(output_dtype)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    spread = torch.logspace(-1, 1, shape[-1])
    return torch.randn(*shape, generator=generator) * spread


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 150), k=st.integers(1, 9), outputs=st.integers(1, 150), bias=st.booleans()
)
def test_the_swizzled_product_is_the_plain_product_of_the_quantised_operands(
    rows: int, k: int, outputs: int, bias: bool
) -> None:
    x = random(rows, 16 * k)
    layer = torch.nn.Linear(16 * k, outputs, bias=bias)
    quantized = NVFP4Linear.from_float(layer, ScaleSearch.FOUR_OVER_SIX).quantized
    b = None if layer.bias is None else layer.bias.detach()

    result = scaled_matmul.scaled_linear(
        x,
        quantized.codes,
        swizzle_scales(quantized.scales),
        quantized.global_scale,
        b,
        multiply=emulated_scaled_mm,
    )

    codes, scales, global_scale = scaled_matmul.quantize_activations(x)
    activations = dequantize(QuantizedTensor(codes, scales, global_scale, tuple(x.shape)))
    plain = activations.double() @ dequantize(quantized).double().t()
    plain = plain if b is None else plain + b.double()
    # Up to rounding in float32: of the factors, of the result, and of the sum with the bias.
    magnitude = activations.double().abs() @ dequantize(quantized).double().abs().t()
    bound = 4 * torch.finfo(torch.float32).eps * (magnitude + plain.abs())
    assert ((result.double() - plain).abs() <= bound).all()


def test_activations_of_three_dimensions_keep_their_shape() -> None:
    quantized = NVFP4Linear.from_float(torch.nn.Linear(64, 48)).quantized
    result = scaled_matmul.scaled_linear(
        random(2, 5, 64).bfloat16(),
        quantized.codes,
        swizzle_scales(quantized.scales),
        quantized.global_scale,
        torch.ones(48, dtype=torch.bfloat16),
        multiply=emulated_scaled_mm,
    )
    assert result.shape == (2, 5, 48)
    assert result.dtype == torch.bfloat16


def test_activations_are_quantised_as_torchao_does() -> None:
    torchao = pytest.importorskip("torchao.prototype.mx_formats.nvfp4_tensor")
    x = random(70, 96)
    expected_scale = torchao.per_tensor_amax_to_scale(x.abs().amax())
    expected_scales, expected_codes = torchao.nvfp4_quantize(x, per_tensor_scale=expected_scale)

    codes, scales, global_scale = scaled_matmul.quantize_activations(x)

    assert global_scale == expected_scale
    assert torch.equal(scales.view(torch.uint8), expected_scales.view(torch.uint8))
    assert torch.equal(codes, expected_codes)


def test_zeros_stay_zeros() -> None:
    codes, scales, global_scale = scaled_matmul.quantize_activations(torch.zeros(3, 20))
    assert not codes.any()
    assert codes.shape == (3, 16)
    assert not scales.float().any()
    assert global_scale == 1


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((8192, 1280, 10240), torch.bfloat16, True),  # SDXL's feed-forward at 1024 x 1024
        ((8192, 1280, 10240), torch.float32, False),
        ((64, 1280, 1280), torch.bfloat16, False),
        ((2048, 2048, 2048), torch.float16, True),
        ((2047, 2048, 2048), torch.float16, False),
        ((8192, 1296, 10240), torch.bfloat16, False),  # K is no multiple of 32
        ((8192, 1280, 10248), torch.bfloat16, False),  # N is no multiple of 16
        ((8192, 1278, 10240), torch.bfloat16, False),  # the weight is padded
    ],
)
def test_only_large_and_aligned_products_gain(
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    expected: bool,
) -> None:
    monkeypatch.setattr(scaled_matmul, "has_fp4_matmul", lambda device: True)
    rows, k, outputs = shape
    x = torch.empty(1, rows, k, dtype=dtype, device="meta")
    codes = torch.empty(outputs, -(-k // 16) * 8, dtype=torch.uint8, device="meta")
    assert scaled_matmul.gains_by_fp4(x, codes) is expected


@pytest.mark.parametrize(
    ("cuda", "capability", "expected"),
    [
        ("12.8", (10, 0), True),
        ("13.0", (12, 1), True),
        ("12.6", (10, 0), False),
        ("13.0", (9, 0), False),
        ("13.0", (11, 0), False),
        (None, (10, 0), False),
    ],
)
def test_which_devices_multiply_fp4(
    monkeypatch: pytest.MonkeyPatch, cuda: str | None, capability: tuple[int, int], expected: bool
) -> None:
    def answer(device: Any) -> tuple[int, int]:
        return capability

    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "get_device_capability", answer)
    scaled_matmul._cuda_has_fp4_matmul.cache_clear()
    try:
        assert scaled_matmul.has_fp4_matmul(torch.device("cuda")) is expected
        assert not scaled_matmul.has_fp4_matmul(torch.device("cpu"))
    finally:
        scaled_matmul._cuda_has_fp4_matmul.cache_clear()


def test_a_layer_uses_it_where_it_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layer's own call, with the emulation for the kernel; scales are swizzled once."""
    layer = NVFP4Linear.from_float(torch.nn.Linear(64, 48)).to(torch.bfloat16)
    x = random(5, 64).bfloat16()
    plain = layer(x)
    monkeypatch.setattr(layers, "gains_by_fp4", lambda x, codes: True)
    linear = functools.partial(scaled_matmul.scaled_linear, multiply=emulated_scaled_mm)
    monkeypatch.setattr(layers, "scaled_linear", linear)

    result = layer(x)
    swizzled = layer.swizzled_scales
    layer(x)

    assert swizzled is not None
    assert layer.swizzled_scales is swizzled
    assert not torch.equal(result, plain)  # the activations were quantised too
    assert (result - plain).norm() < 0.15 * plain.norm()
    layer.to("cpu")
    assert layer.swizzled_scales is None
    assert "swizzled_scales" not in layer.state_dict()

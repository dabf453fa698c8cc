"""Convolving from codes gives what convolving with the dequantised weight gives."""

import pytest
import torch
from torch import Tensor, nn

from nvfp4_ddim_contracts import ScaleSearch
from nvfp4_ddim_optimizer.native import library, library_path
from nvfp4_ddim_optimizer.nn import NVFP4Conv2d, Residency, set_residency
from nvfp4_ddim_optimizer.nn.winograd import convolve_3x3, suits_input
from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor, dequantize, quantize

needs_kernels = pytest.mark.skipif(library_path() is None, reason="the kernels are not built")


def parts(shape: tuple[int, ...], seed: int = 0) -> tuple[QuantizedTensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator)
    return quantize(weight, ScaleSearch.ABSMAX), torch.randn(shape[0], generator=generator)


def convolve(x: Tensor, weight: QuantizedTensor, bias: Tensor | None) -> Tensor:
    return convolve_3x3(x, weight.codes, weight.scales, weight.global_scale, bias)


def reference(x: Tensor, weight: QuantizedTensor, bias: Tensor | None) -> Tensor:
    exact = dequantize(weight).double()
    return nn.functional.conv2d(
        x.double(), exact, None if bias is None else bias.double(), padding=1
    )


def relative_error(x: Tensor, weight: QuantizedTensor, bias: Tensor | None) -> float:
    result, expected = convolve(x, weight, bias), reference(x, weight, bias)
    assert result.shape == expected.shape
    assert result.is_contiguous(memory_format=torch.channels_last)
    return float((result - expected).norm() / expected.norm().clamp(min=1e-30))


@needs_kernels
def test_a_layer_uses_it_and_keeps_no_dequantised_weight() -> None:
    layer = NVFP4Conv2d.from_float(nn.Conv2d(32, 48, 3, padding=1))
    set_residency(layer, Residency.RESIDENT)
    x = torch.randn(2, 32, 8, 8)
    with torch.no_grad():
        result = layer(x)
    assert layer.dense is None
    assert torch.equal(result, convolve(x, layer.quantized, layer.bias))


def test_what_it_does_not_suit_is_left_to_torch() -> None:
    x = torch.randn(1, 16, 8, 8)
    assert suits_input(x) is (library() is not None)
    assert not suits_input(x.bfloat16())
    assert not suits_input(x[:, :, :4, :4])  # a single tile
    assert not suits_input(x[0])
    assert not suits_input(x.clone().requires_grad_())
    assert not suits_input(x.to("meta"))
    for options in (
        {"kernel_size": 1},
        {"kernel_size": 3, "padding": 1, "stride": 2},
        {"kernel_size": 3, "padding": 1, "groups": 2},
        {"kernel_size": 3, "padding": 2, "dilation": 2},
        {"kernel_size": 3},
    ):
        layer = NVFP4Conv2d.from_float(nn.Conv2d(32, 16, **options))
        set_residency(layer, Residency.RESIDENT)
        layer(torch.randn(1, 32, 8, 8))
        assert layer.dense is not None


def test_gradients_still_reach_the_input() -> None:
    layer = NVFP4Conv2d.from_float(nn.Conv2d(16, 16, 3, padding=1))
    x = torch.randn(1, 16, 8, 8, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None


def test_without_kernels_torch_convolves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nvfp4_ddim_optimizer.nn.winograd.library", lambda: None)
    weight, bias = parts((8, 16, 3, 3))
    assert relative_error(torch.randn(1, 16, 8, 8), weight, bias) < 1e-5


@pytest.mark.parametrize("residency", list(Residency))
def test_compiling_and_exporting_see_one_operator(residency: Residency) -> None:
    model = nn.Sequential(
        NVFP4Conv2d.from_float(nn.Conv2d(16, 24, 3, padding=1)), nn.SiLU()
    ).requires_grad_(False)
    set_residency(model, residency)
    x = torch.randn(2, 16, 8, 8)
    with torch.no_grad():
        expected = model(x)
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), expected)
        exported = torch.export.export(model, (x,))
        torch.testing.assert_close(exported.module()(x), expected)
    assert "nvfp4_ddim.convolve_3x3" in exported.graph_module.code


def test_the_operator_is_registered_properly() -> None:
    weight, bias = parts((8, 16, 3, 3))
    torch.library.opcheck(
        torch.ops.nvfp4_ddim.convolve_3x3.default,
        (torch.randn(1, 16, 8, 8), weight.codes, weight.scales, weight.global_scale, bias),
        test_utils=("test_autograd_registration", "test_faketensor"),
    )

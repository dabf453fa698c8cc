"""NVFP4Linear and NVFP4Conv2d behave as the layers they replace."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from nvfp4_ddim_contracts import ScaleSearch
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nn import NVFP4Conv2d, NVFP4Linear, Residency, set_residency
from nvfp4_ddim_optimizer.nvfp4 import dequantize, quantize

CONVOLUTIONS: list[dict[str, Any]] = [
    {},
    {"kernel_size": 1},
    {"kernel_size": (1, 3), "padding": (0, 1)},
    {"stride": 2, "padding": 1},
    {"padding": "same"},
    {"padding": 2, "dilation": 2},
    {"groups": 2, "bias": False},
]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def conv(**options: Any) -> nn.Conv2d:
    return nn.Conv2d(8, 12, **{"kernel_size": 3, **options})


def same_with_dequantised_weight(layer: nn.Module, quantised: Any) -> nn.Module:
    reference = copy.deepcopy(layer)
    reference.weight = nn.Parameter(dequantize(quantised.quantized))
    return reference


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer(bias: bool) -> None:
    layer = nn.Linear(40, 24, bias=bias)
    quantised = NVFP4Linear.from_float(layer)
    x = torch.randn(2, 3, 40)
    assert torch.equal(quantised(x), same_with_dequantised_weight(layer, quantised)(x))
    assert (quantised(x) - layer(x)).norm() < 0.15 * layer(x).norm()


@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_a_convolution(options: dict[str, Any]) -> None:
    layer = conv(**options)
    quantised = NVFP4Conv2d.from_float(layer)
    x = torch.randn(2, 8, 9, 7)
    assert torch.equal(quantised(x), same_with_dequantised_weight(layer, quantised)(x))


def test_the_state_dict_is_modelopts_layout() -> None:
    quantised = NVFP4Conv2d.from_float(conv())
    described = {k: (v.dtype, tuple(v.shape)) for k, v in quantised.state_dict().items()}
    assert described == {
        "weight": (torch.uint8, (12, 40)),  # 8 * 3 * 3 = 72, padded to 80
        "weight_scale": (torch.float8_e4m3fn, (12, 5)),
        "weight_scale_2": (torch.float32, ()),
        "bias": (torch.float32, (12,)),
    }


def test_an_empty_layer_is_filled_by_a_state_dict() -> None:
    layer = conv(stride=2)
    full, empty = NVFP4Conv2d.from_float(layer), NVFP4Conv2d.empty_like(layer)
    assert all(tensor.is_meta for tensor in empty.state_dict().values())
    empty.load_state_dict(full.state_dict(), assign=True)
    x = torch.randn(1, 8, 6, 6)
    assert torch.equal(empty(x), full(x))


def packed_bytes(layer: nn.Module) -> list[Any]:
    state = layer.state_dict()
    return [
        (state[name].dtype, state[name].clone().view(torch.uint8).tolist())
        for name in ("weight", "weight_scale")
    ] + [(state["weight_scale_2"].dtype, state["weight_scale_2"].item())]


@pytest.mark.parametrize("residency", list(Residency))
@pytest.mark.parametrize(
    "cast",
    [
        lambda layer: layer.to(torch.bfloat16),
        lambda layer: layer.to("cpu", torch.float64),
        lambda layer: layer.half(),
        lambda layer: layer.bfloat16(),
        lambda layer: layer.type(torch.float16),
        lambda layer: nn.Sequential(layer).to(torch.float16)[0],
        lambda layer: layer.to(memory_format=torch.channels_last),
        copy.deepcopy,
    ],
)
def test_casting_never_touches_the_packed_weight(cast: Any, residency: Residency) -> None:
    quantised = NVFP4Conv2d.from_float(conv())
    set_residency(quantised, residency)
    x = torch.randn(1, 8, 6, 6)
    before, output = packed_bytes(quantised), quantised(x)
    assert quantised.bias is not None
    exact_bias = quantised.bias.detach().clone()

    quantised = cast(quantised)

    assert packed_bytes(quantised) == before
    assert list(quantised.state_dict()) == ["weight", "weight_scale", "weight_scale_2", "bias"] or (
        set(quantised.state_dict()) == {"weight", "weight_scale", "weight_scale_2", "bias"}
    )
    quantised.bias.data = exact_bias
    assert torch.equal(quantised(x), output)


def test_casting_reaches_the_bias() -> None:
    quantised = NVFP4Linear.from_float(nn.Linear(32, 32)).to(torch.bfloat16)
    assert quantised.bias is not None
    assert quantised.bias.dtype == torch.bfloat16


def test_to_empty_and_back() -> None:
    full = NVFP4Linear.from_float(nn.Linear(32, 16))
    emptied = copy.deepcopy(full).to("meta")
    assert emptied.weight_scale.is_meta
    restored = emptied.to_empty(device="cpu")
    restored.load_state_dict(full.state_dict())
    assert packed_bytes(restored) == packed_bytes(full)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_input_decides_the_dtype(dtype: torch.dtype) -> None:
    quantised = NVFP4Linear.from_float(nn.Linear(32, 32))
    set_residency(quantised, Residency.RESIDENT)
    quantised(torch.randn(1, 32))
    assert quantised(torch.randn(1, 32, dtype=dtype)).dtype == dtype


def test_resident_weights_are_made_once_and_dropped() -> None:
    model = nn.Sequential(NVFP4Linear.from_float(nn.Linear(32, 32)), nn.ReLU())
    layer, x = model[0], torch.randn(4, 32)
    packed = model(x)
    assert layer.dense is None

    set_residency(model, Residency.RESIDENT)
    assert torch.equal(model(x), packed)
    kept = layer.dense
    assert kept is not None
    model(x)
    assert layer.dense is kept
    assert "dense" not in layer.state_dict()

    model.to(torch.float32)
    assert layer.dense is None
    model(x)
    set_residency(model, Residency.PACKED)
    assert layer.dense is None
    assert torch.equal(model(x), packed)


def test_a_resident_convolution_is_channels_last_for_any_input() -> None:
    quantised = NVFP4Conv2d.from_float(conv())
    set_residency(quantised, Residency.RESIDENT)
    x = torch.randn(2, 8, 6, 6)
    plain = quantised(x)
    assert quantised.dense is not None
    assert quantised.dense.is_contiguous(memory_format=torch.channels_last)
    assert plain.is_contiguous(memory_format=torch.channels_last)
    last = quantised(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, plain)


def test_gradients_pass_through_to_the_input() -> None:
    quantised = NVFP4Linear.from_float(nn.Linear(32, 8))
    x = torch.randn(2, 32, requires_grad=True)
    quantised(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad[0], dequantize(quantised.quantized).sum(0))


@pytest.mark.parametrize("residency", list(Residency))
def test_torch_can_capture_it(residency: Residency) -> None:
    model = nn.Sequential(NVFP4Conv2d.from_float(conv()), nn.SiLU()).requires_grad_(False)
    set_residency(model, residency)
    x = torch.randn(1, 8, 6, 6)
    with torch.no_grad():
        compiled = torch.compile(model, backend="eager")
        torch.testing.assert_close(compiled(x), model(x))
        torch.testing.assert_close(compiled(x), model(x))


def test_the_search_is_passed_on() -> None:
    layer = nn.Linear(64, 64)
    errors = [
        (dequantize(NVFP4Linear.from_float(layer, search).quantized) - layer.weight).norm().item()
        for search in ScaleSearch
    ]
    assert errors == sorted(errors, reverse=True)


def test_what_can_not_be_quantised_is_refused() -> None:
    layer = nn.Linear(16, 16)
    with torch.no_grad():
        layer.weight[3, 4] = float("nan")
    with pytest.raises(InvalidInputError, match="NaN"):
        NVFP4Linear.from_float(layer)
    with pytest.raises(InvalidInputError, match="padding mode 'circular'"):
        NVFP4Conv2d.from_float(conv(padding_mode="circular"))
    with pytest.raises(InvalidInputError, match="does not fit"):
        NVFP4Linear(16, 8).load(quantize(torch.ones(8, 8)), None)


def test_it_says_what_it_is() -> None:
    assert "in_features=32" in repr(NVFP4Linear.from_float(nn.Linear(32, 8)))
    assert "stride=(2, 2)" in repr(NVFP4Conv2d.from_float(conv(stride=2)))

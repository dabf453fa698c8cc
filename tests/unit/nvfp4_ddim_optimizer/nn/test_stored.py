import copy
from typing import Any

import pytest
import torch
from torch import nn

from nvfp4_ddim_optimizer.nn import compute_as_stored, convolve_by_winograd, weight_like


def model() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "embedding": nn.Embedding(10, 16),
            "layer_norm": nn.LayerNorm(16),
            "linear": nn.Linear(16, 16),
            "bare": nn.Linear(16, 16, bias=False),
            "group_norm": nn.GroupNorm(4, 16),
            "conv": nn.Conv2d(16, 8, 3, stride=2, padding=1, padding_mode="reflect"),
        }
    )


def run(parts: nn.ModuleDict) -> torch.Tensor:
    x = parts["layer_norm"](parts["embedding"](torch.arange(9)))
    x = parts["bare"](parts["linear"](x)).T.reshape(1, 16, 3, 3)
    result: torch.Tensor = parts["conv"](parts["group_norm"](x))
    return result


@torch.inference_mode()
def test_computes_with_stored_weights_as_if_they_had_been_cast_before() -> None:
    stored = model().bfloat16()
    cast = copy.deepcopy(stored).float()
    names = compute_as_stored(stored, torch.float32)
    assert names == set(stored.state_dict())
    result = run(stored)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, run(cast))
    assert {tensor.dtype for tensor in stored.state_dict().values()} == {torch.bfloat16}


def test_layers_stay_what_they_were() -> None:
    parts = model()
    names = list(parts.state_dict())
    compute_as_stored(parts, torch.float32)
    assert list(parts.state_dict()) == names
    assert isinstance(parts["linear"], nn.Linear)
    assert isinstance(parts["conv"], nn.Conv2d)


def test_other_layers_are_left_alone() -> None:
    attention = nn.MultiheadAttention(16, 2)
    assert compute_as_stored(attention, torch.float32) == frozenset()


def test_a_weight_that_fits_is_not_copied() -> None:
    weight = torch.zeros(2, 2)
    assert weight_like(weight, torch.zeros(1)) is weight
    kernel = weight_like(torch.zeros(4, 4, 3, 3, dtype=torch.bfloat16), torch.zeros(1))
    assert kernel.dtype == torch.float32
    assert kernel.is_contiguous(memory_format=torch.channels_last)


class TestConvolveByWinograd:
    """What the kernel computes is tested where the kernel is: tests/unit/.../native."""

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @torch.no_grad()
    def test_computes_the_same(self, dtype: torch.dtype) -> None:
        layer = nn.Conv2d(32, 20, 3, padding=1).to(dtype)
        x = torch.randn(2, 32, 9, 14)
        expected = nn.functional.conv2d(x, layer.weight.float(), _float(layer.bias), padding=1)
        compute_as_stored(nn.Sequential(layer), torch.float32)
        convolve_by_winograd(nn.Sequential(layer))
        torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize(
        "options",
        [
            {"kernel_size": 1},
            {"kernel_size": 3, "stride": 2, "padding": 1},
            {"kernel_size": 3, "padding": 1, "groups": 2},
            {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
            {"kernel_size": 3},
        ],
    )
    def test_leaves_other_convolutions_alone(self, options: dict[str, Any]) -> None:
        layer = nn.Conv2d(32, 16, **options)
        convolve_by_winograd(layer)
        assert type(layer) is nn.Conv2d

    def test_gradients_still_flow(self) -> None:
        layer = nn.Conv2d(16, 16, 3, padding=1)
        convolve_by_winograd(layer)
        x = torch.randn(1, 16, 8, 8, requires_grad=True)
        layer(x).sum().backward()
        assert x.grad is not None
        assert layer.weight.grad is not None


def _float(bias: torch.Tensor | None) -> torch.Tensor | None:
    return None if bias is None else bias.float()

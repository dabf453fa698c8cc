import pytest
import torch
from torch import nn

from nvfp4_ddim_optimizer.calibration import InputStatistics, collect_statistics, correct_bias
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nn import NVFP4Conv2d, NVFP4Linear
from nvfp4_ddim_optimizer.nvfp4 import dequantize, quantize


def model() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.Flatten(2), nn.Linear(25, 4))


def test_moments_over_several_calls() -> None:
    net = model()
    batches = [torch.randn(2, 3, 5, 5), torch.randn(1, 3, 5, 5)]
    layers = {"first": net[0], "last": net[2]}
    found = collect_statistics(layers, lambda: [net(x) for x in batches])
    pixels = torch.cat([x.movedim(1, -1).reshape(-1, 3) for x in batches])
    assert found["first"].count == 75
    torch.testing.assert_close(found["first"].mean, pixels.mean(0))
    torch.testing.assert_close(found["first"].second_moment, pixels.t() @ pixels / 75)
    assert found["last"].count == 3 * 16
    assert found["last"].second_moment.shape == (25, 25)


def test_no_hook_stays() -> None:
    net = model()

    def fail() -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        collect_statistics({"0": net[0]}, fail)
    assert not net[0]._forward_pre_hooks


@pytest.mark.parametrize("layer", [nn.GroupNorm(1, 8), nn.Conv2d(8, 8, 3, groups=2)])
def test_only_layers_that_gptq_can_quantise(layer: nn.Module) -> None:
    with pytest.raises(InvalidInputError, match="'norm' is no linear layer"):
        collect_statistics({"norm": layer}, lambda: None)


def test_layers_in_nvfp4() -> None:
    net = nn.Sequential(
        NVFP4Conv2d.from_float(nn.Conv2d(16, 8, 3)),
        nn.Flatten(2),
        NVFP4Linear.from_float(nn.Linear(16, 4)),
    )
    x = torch.randn(3, 16, 6, 6)
    found = collect_statistics({"a": net[0], "b": net[2]}, lambda: net(x))
    torch.testing.assert_close(found["a"].mean, x.mean((0, 2, 3)))
    assert found["b"].count == 3 * 8


@pytest.mark.parametrize("layer", [nn.Linear(32, 8), nn.Conv2d(32, 8, 3)])
def test_the_mean_output_is_corrected(layer: nn.Linear | nn.Conv2d) -> None:
    quantized = quantize(layer.weight)
    mean = torch.randn(32)
    x = mean + torch.randn(4000, 32)
    if isinstance(layer, nn.Conv2d):
        x = x[:36].reshape(1, 6, 6, 32).movedim(-1, 1) * 0 + mean.view(1, 32, 1, 1)
    statistics = InputStatistics.empty(32)
    statistics.add(x.movedim(1, -1).reshape(-1, 32) if x.dim() == 4 else x)
    assert layer.bias is not None
    with torch.no_grad():
        before = layer(x)
        layer.bias.copy_(correct_bias(layer.weight, quantized, layer.bias, statistics))
        layer.weight.copy_(dequantize(quantized))
        after = layer(x)
    axes = (0, 2, 3) if x.dim() == 4 else (0,)
    torch.testing.assert_close(after.mean(axes), before.mean(axes), atol=1e-4, rtol=1e-4)

import pytest
import torch
from torch import nn

from nvfp4_ddim_optimizer.calibration import InputStatistics, collect_statistics, correct_bias
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import dequantize, quantize


def model() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.Flatten(2), nn.Linear(25, 4))


def test_moments_over_several_calls() -> None:
    net = model()
    batches = [torch.randn(2, 3, 5, 5), torch.randn(1, 3, 5, 5)]
    found = collect_statistics(net, ["0", "2"], lambda: [net(x) for x in batches])
    pixels = torch.cat([x.movedim(1, -1).reshape(-1, 3) for x in batches])
    assert found["0"].count == 75
    torch.testing.assert_close(found["0"].mean, pixels.mean(0))
    torch.testing.assert_close(found["0"].second_moment, pixels.t() @ pixels / 75)
    assert found["2"].count == 3 * 16
    assert found["2"].second_moment.shape == (25, 25)


def test_no_hook_stays() -> None:
    net = model()

    def fail() -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        collect_statistics(net, ["0"], fail)
    assert not net[0]._forward_pre_hooks


@pytest.mark.parametrize("name", ["1", "7", ""])
def test_only_layers_with_weights(name: str) -> None:
    with pytest.raises(InvalidInputError, match="no linear layer"):
        collect_statistics(model(), [name], lambda: None)


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

import pytest
import torch
from torch import Tensor

from nvfp4_ddim_optimizer.calibration import InputStatistics, quantize_gptq
from nvfp4_ddim_optimizer.nvfp4 import (
    QuantizedTensor,
    dequantize,
    entropy_bits,
    quantize_rate_distortion,
    unpack_codes,
    weight_to_matrix,
)


def correlated_inputs(features: int, count: int = 2000) -> Tensor:
    """Features that resemble each other, as neighbouring channels of a network do."""
    generator = torch.Generator().manual_seed(1)
    mixing = torch.randn(features // 4, features, generator=generator)
    hidden = torch.randn(count, features // 4, generator=generator)
    return hidden @ mixing + 0.3 * torch.randn(count, features, generator=generator)


def statistics_of(x: Tensor) -> InputStatistics:
    statistics = InputStatistics.empty(x.shape[1])
    statistics.add(x)
    return statistics


def output_error(weight: Tensor, quantized: QuantizedTensor, x: Tensor) -> float:
    matrix = weight_to_matrix(weight - dequantize(quantized)).reshape(-1, x.shape[1])
    whole = weight_to_matrix(weight).reshape(-1, x.shape[1])
    return float((x @ matrix.t()).square().sum() / (x @ whole.t()).square().sum())


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 1, 1), (16, 64, 3, 3), (48, 40)])
@pytest.mark.parametrize("rate_weight", [0.0, 0.005])
def test_the_output_has_less_error_than_from_the_weight_alone(
    shape: tuple[int, ...], rate_weight: float
) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    x = correlated_inputs(shape[1])
    alone = quantize_rate_distortion(weight, rate_weight)
    calibrated = quantize_gptq(weight, statistics_of(x), rate_weight)
    assert calibrated.shape == shape
    assert output_error(weight, calibrated, x) < 0.5 * output_error(weight, alone, x)


def test_uncorrelated_inputs_leave_nothing_to_make_up_for() -> None:
    weight = torch.randn(32, 64, generator=torch.Generator().manual_seed(3))
    statistics = InputStatistics(torch.eye(64), torch.zeros(64), 1)
    calibrated = quantize_gptq(weight, statistics, 0.0)
    alone = quantize_rate_distortion(weight, 0.0)
    torch.testing.assert_close(dequantize(calibrated), dequantize(alone))


def test_a_higher_rate_weight_takes_fewer_bits() -> None:
    weight = torch.randn(128, 128, generator=torch.Generator().manual_seed(4))
    statistics = statistics_of(correlated_inputs(128))
    bits = [
        sum(entropy_bits(quantize_gptq(weight, statistics, rate))) for rate in (0.002, 0.01, 0.04)
    ]
    assert bits[0] > bits[1] > bits[2]


def test_padding_stays_zero() -> None:
    weight = torch.randn(8, 20, generator=torch.Generator().manual_seed(5))
    quantized = quantize_gptq(weight, statistics_of(correlated_inputs(20)), 0.01)
    assert not unpack_codes(quantized.codes)[:, 20:].any()


def test_channels_that_blocks_straddle_are_weighed() -> None:
    weight = torch.randn(8, 12, 3, 3, generator=torch.Generator().manual_seed(6))
    x = correlated_inputs(12)
    x[:, 0] *= 30
    calibrated = quantize_gptq(weight, statistics_of(x), 0.0)
    alone = quantize_rate_distortion(weight, 0.0)
    assert output_error(weight, calibrated, x) < output_error(weight, alone, x)


def test_an_input_that_was_always_zero() -> None:
    weight = torch.randn(8, 32, generator=torch.Generator().manual_seed(7))
    statistics = InputStatistics(torch.zeros(32, 32), torch.zeros(32), 10)
    quantized = quantize_gptq(weight, statistics, 0.0)
    torch.testing.assert_close(
        dequantize(quantized), dequantize(quantize_rate_distortion(weight, 0.0))
    )


def test_a_weight_of_zeros() -> None:
    quantized = quantize_gptq(torch.zeros(4, 32), statistics_of(correlated_inputs(32)), 0.01)
    assert not dequantize(quantized).any()

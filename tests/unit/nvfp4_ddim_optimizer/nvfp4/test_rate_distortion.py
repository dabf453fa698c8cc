"""Rate-distortion optimised quantisation: what it minimises, and what it leaves alone."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nvfp4_ddim_contracts import ScaleSearch
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import (
    decode_e2m1,
    dequantize,
    entropy_bits,
    quantize,
    quantize_rate_distortion,
    unpack_codes,
)
from nvfp4_ddim_optimizer.nvfp4.block_search import SearchTables, search_reference
from nvfp4_ddim_optimizer.nvfp4.code_lengths import CodeLengths, count_symbols
from nvfp4_ddim_optimizer.nvfp4.rate_distortion import BlockSearch
from nvfp4_ddim_optimizer.nvfp4.rounding import round_to_e4m3

LADDER = (0.0, 0.003, 0.005, 0.007, 0.01, 0.02)
quick = settings(deadline=None, max_examples=20)


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def error(weight: Tensor, **options: object) -> float:
    quantized = quantize_rate_distortion(weight, **options)  # type: ignore[arg-type]
    return squared(dequantize(quantized) - weight.float())


def squared(difference: Tensor) -> float:
    return float(difference.double().square().sum())


heavy_tailed = st.builds(
    lambda seed, rows, columns, exponent, spread: (
        gaussian(rows, columns, seed=seed)
        * 2.0**exponent
        * torch.exp2(spread * gaussian(rows, columns, seed=seed + 1))
    ),
    st.integers(0, 2**20),
    st.integers(1, 5),
    st.integers(1, 70),
    st.integers(-60, 60),
    st.floats(0, 2),
)


@quick
@given(heavy_tailed)
def test_without_a_rate_the_sweep_is_not_better(weight: Tensor) -> None:
    swept = squared(dequantize(quantize(weight, ScaleSearch.SWEEP)) - weight)
    assert error(weight, rate_weight=0.0) <= swept * (1 + 1e-4)


def test_a_larger_rate_weight_means_fewer_bits_and_more_error() -> None:
    weight = gaussian(128, 1024)
    results = [quantize_rate_distortion(weight, rate) for rate in LADDER]
    errors = [squared(dequantize(result) - weight) for result in results]
    bits = [sum(entropy_bits(result)) for result in results]
    assert errors == sorted(errors)
    assert bits == sorted(bits, reverse=True)
    assert bits[-1] < 3.6
    assert bits[0] > 4.0


def test_gaussian_weights_reach_what_the_defaults_promise() -> None:
    weight = gaussian(256, 2048)
    quantized = quantize_rate_distortion(weight, 0.007)
    assert sum(entropy_bits(quantized)) < 3.87
    assert squared(dequantize(quantized) - weight) / squared(weight) < 0.0078


@quick
@given(st.integers(0, 2**20), st.floats(1e-4, 3), st.booleans(), st.sampled_from([range(-7, 13)]))
def test_the_search_finds_the_best_scale_and_codes_that_there_are(
    seed: int, rate: float, weighted: bool, steps: range
) -> None:
    blocks = gaussian(12, 16, seed=seed) * torch.exp2(3 * gaussian(12, 1, seed=seed + 1)) * 40
    importance = gaussian(12, 16, seed=seed + 2).abs() + 0.01 if weighted else None
    lengths = CodeLengths(gaussian(8, seed=seed).abs() + 1, gaussian(127, seed=seed).abs() * 3)
    bases = round_to_e4m3(blocks.abs().amax(dim=1) / 6).view(torch.uint8)
    tables = SearchTables.build(lengths, rate, blocks.device)
    packed, scales = search_reference(blocks, bases, importance, tables, steps)

    levels = decode_e2m1(torch.arange(8, dtype=torch.uint8), torch.float64)
    weighing = torch.ones(12, 16) if importance is None else importance
    for block, base, h, codes, scale in zip(
        blocks.double(), bases.int(), weighing.double(), unpack_codes(packed), scales, strict=True
    ):
        costs = {}
        for byte in range(max(1, int(base) + steps.start), min(126, int(base) + steps[-1]) + 1):
            value = float(torch.tensor(byte, dtype=torch.uint8).view(torch.float8_e4m3fn))
            each = h.unsqueeze(1) * (block.abs().unsqueeze(1) - levels * value).square()
            each = each + rate * lengths.codes.double()
            costs[byte] = float(each.amin(dim=1).sum()) + rate * float(lengths.scales[byte])
        value = float(scale.view(torch.float8_e4m3fn))
        magnitudes, signs = codes & 7, codes >> 3
        chosen = h * (block.abs() - levels[magnitudes.int()] * value).square()
        chosen = chosen + rate * lengths.codes.double()[magnitudes.int()]
        cost = float(chosen.sum()) + rate * float(lengths.scales[int(scale)])
        assert cost <= min(costs.values()) * (1 + 1e-4)
        assert (signs.bool() == ((block < 0) & (magnitudes > 0))).all()


@pytest.mark.parametrize("seed", [4, 5])
def test_the_choice_does_not_depend_on_the_number_of_threads(seed: int) -> None:
    weight, threads = gaussian(192, 576, seed=seed), torch.get_num_threads()
    try:
        found = []
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(BlockSearch(weight, None).variance)
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1]


def test_important_columns_are_kept_better() -> None:
    weight = gaussian(64, 64)
    importance = torch.ones(64)
    importance[::2] = 100.0
    quantized = quantize_rate_distortion(weight, 0.01, importance=importance)
    lost = (dequantize(quantized) - weight).square().mean(dim=0)
    plain = (dequantize(quantize_rate_distortion(weight, 0.01)) - weight).square().mean(dim=0)
    assert lost[::2].mean() < 0.8 * plain[::2].mean()


def test_equal_importance_changes_nothing() -> None:
    weight = gaussian(8, 16, 3, 3)
    plain = quantize_rate_distortion(weight, 0.01)
    weighted = quantize_rate_distortion(weight, 0.01, importance=torch.full((144,), 7.0))
    assert torch.equal(plain.codes, weighted.codes)
    assert torch.equal(plain.scales.view(torch.uint8), weighted.scales.view(torch.uint8))


@pytest.mark.parametrize("exponent", [-40, 7])
def test_the_choice_does_not_depend_on_the_weights_unit(exponent: int) -> None:
    weight = gaussian(16, 64)
    plain = quantize_rate_distortion(weight, 0.007)
    scaled = quantize_rate_distortion(weight * 2.0**exponent, 0.007)
    assert torch.equal(plain.codes, scaled.codes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_types_are_quantised_as_the_numbers_they_hold(dtype: torch.dtype) -> None:
    weight = gaussian(8, 48).to(dtype)
    direct = quantize_rate_distortion(weight, 0.007)
    assert torch.equal(direct.codes, quantize_rate_distortion(weight.float(), 0.007).codes)


def test_zeros_and_padding_have_the_code_zero() -> None:
    weight = gaussian(4, 37)
    weight[:, :16] = -0.0
    quantized = quantize_rate_distortion(weight, 0.02)
    codes = unpack_codes(quantized.codes)
    assert codes.shape == (4, 48)
    assert not codes[:, :16].any()
    assert not codes[:, 37:].any()
    assert not quantized.scales.view(torch.uint8)[:, 0].any()
    assert not quantize_rate_distortion(torch.zeros(3, 16), 0.01).codes.any()


@pytest.mark.parametrize("rate", [-0.1, math.inf, math.nan])
def test_a_rate_weight_must_be_a_size(rate: float) -> None:
    with pytest.raises(InvalidInputError, match="rate weight"):
        quantize_rate_distortion(gaussian(2, 16), rate)


@pytest.mark.parametrize("importance", [torch.ones(15), torch.zeros(16), torch.ones(16) / 0.0])
def test_importance_must_fit(importance: Tensor) -> None:
    with pytest.raises(InvalidInputError, match="importance"):
        quantize_rate_distortion(gaussian(2, 16), 0.01, importance=importance)


def test_symbols_are_counted_one_by_one() -> None:
    quantized = quantize(gaussian(8, 64))
    codes, scales = count_symbols(quantized.codes, quantized.scales)
    plain = unpack_codes(quantized.codes) & 7
    assert torch.equal(codes, torch.bincount(plain.flatten().int(), minlength=8))
    assert scales.sum() == 32


def test_entropy_of_two_equal_symbols_and_one_scale() -> None:
    # Codes 0 and -0.5 in turn, all scales alike: one bit for which, half a bit for signs.
    weight = torch.tensor([6.0, 0.0]).repeat(2, 8)
    quantized = quantize(weight)
    assert entropy_bits(quantized) == pytest.approx((1.5, 0.0))

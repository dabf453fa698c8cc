"""Quantising and dequantising: what holds for every weight."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nvfp4_ddim_contracts import ScaleSearch
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import dequantize, quantize, round_to_e2m1, unpack_codes
from nvfp4_ddim_optimizer.nvfp4 import quantize as quantize_function
from nvfp4_ddim_optimizer.nvfp4.scales import choose_block_scales, choose_global_scale

without_deadline = settings(deadline=None, max_examples=30)
SEARCHES = list(ScaleSearch)
E4M3_SCALES = torch.arange(1, 0x7F, dtype=torch.uint8).view(torch.float8_e4m3fn).double()


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sqnr_db(weight: torch.Tensor, approximation: torch.Tensor) -> float:
    noise = (weight.double() - approximation.double()).square().sum()
    return float(10 * torch.log10(weight.double().square().sum() / noise))


weights = st.builds(
    lambda seed, rows, columns, exponent, spread: (
        gaussian(rows, columns, seed=seed)
        * 2.0**exponent
        * torch.exp2(spread * gaussian(rows, 1, seed=seed + 1))
    ),
    st.integers(0, 2**20),
    st.integers(1, 5),
    st.integers(1, 70),
    st.integers(-60, 60),
    st.floats(0, 4),
)


@without_deadline
@given(weights, st.sampled_from(SEARCHES))
def test_no_weight_is_off_by_more_than_a_sixth_of_its_blocks_largest(
    weight: torch.Tensor, search: ScaleSearch
) -> None:
    # Half of the widest gap (4 to 6) at a scale of amax/6 (and E4M3's rounding of it, 1/16) for
    # absmax; the searches minimise the block's sum, so one weight may lose what 16 could.
    quantised = quantize(weight, search)
    error = (dequantize(quantised) - weight).abs()
    padded = -weight.shape[1] % 16
    blocks = torch.nn.functional.pad(error, (0, padded)).view(weight.shape[0], -1, 16)
    amax = torch.nn.functional.pad(weight, (0, padded)).abs().view_as(blocks).amax(-1)
    smallest = quantised.global_scale * 2.0**-9
    bound = (amax / 6 * 1.07).clamp(min=float(smallest))
    if search is ScaleSearch.ABSMAX:
        assert (blocks.amax(-1) <= bound).all()
    else:
        assert (blocks.square().sum(-1) <= 16 * bound.square()).all()


@without_deadline
@given(weights, st.sampled_from(SEARCHES))
def test_multiplying_by_a_power_of_two_only_moves_the_global_scale(
    weight: torch.Tensor, search: ScaleSearch
) -> None:
    first, second = quantize(weight, search), quantize(weight * 8, search)
    assert torch.equal(first.codes, second.codes)
    assert torch.equal(first.scales.view(torch.uint8), second.scales.view(torch.uint8))
    assert second.global_scale == 8 * first.global_scale


@without_deadline
@given(st.integers(0, 2**20), st.floats(0, 3))
def test_the_sweep_finds_the_best_of_all_e4m3_scales(seed: int, heaviness: float) -> None:
    blocks = gaussian(40, 16, seed=seed)
    blocks = blocks.sign() * blocks.abs() ** (1 + heaviness)
    # A block of ones keeps the global scale away from the others, so that none is cut off.
    amax = 20 * blocks.abs().amax()
    global_scale = choose_global_scale(amax, ScaleSearch.SWEEP)
    chosen = choose_block_scales(blocks, global_scale, ScaleSearch.SWEEP).double()

    def errors(scales: torch.Tensor) -> torch.Tensor:
        """[blocks, scales] squared errors, in float64."""
        factor = scales.view(1, -1, 1) * global_scale.double()
        magnitudes = blocks.double().abs().unsqueeze(1)
        codes = round_to_e2m1((magnitudes / factor).float()).double()
        return (codes * factor - magnitudes).square().sum(-1)

    best = errors(E4M3_SCALES).amin(dim=1)
    got = torch.stack([errors(chosen)[index, index] for index in range(len(blocks))])
    # Scales below 2^-6 are spaced more widely, which the sweep's bounds do not reckon with.
    normal = blocks.abs().amax(1) / 6 / global_scale > 2.0**-3
    assert normal.any()
    torch.testing.assert_close(got[normal], best[normal], rtol=1e-5, atol=0.0)


def test_more_search_never_hurts_and_gains_what_it_should() -> None:
    weight = gaussian(256, 512)
    gains = {search: sqnr_db(weight, dequantize(quantize(weight, search))) for search in SEARCHES}
    assert gains[ScaleSearch.ABSMAX] == pytest.approx(20.4, abs=0.1)
    assert gains[ScaleSearch.FOUR_OVER_SIX] == pytest.approx(21.2, abs=0.1)
    assert gains[ScaleSearch.SWEEP] == pytest.approx(21.8, abs=0.1)


def test_four_over_six_can_enlarge_even_the_largest_blocks_scale() -> None:
    # 4.5 lies in E2M1's widest gap at amax/6, and on a code at amax/4.
    block = torch.tensor([[6.0, 4.5, 3.0, 1.5] * 4])
    quantised = quantize(block, ScaleSearch.FOUR_OVER_SIX)
    assert quantised.scales.float().item() == 384.0
    torch.testing.assert_close(dequantize(quantised), block)


@pytest.mark.parametrize("search", SEARCHES)
def test_zeros_stay_zeros(search: ScaleSearch) -> None:
    nothing = quantize(torch.zeros(3, 40), search)
    assert nothing.global_scale == 1
    assert not dequantize(nothing).any()

    weight = gaussian(4, 64)
    weight[1] = 0
    weight[2, 16:32] = 0
    quantised = quantize(weight, search)
    restored = dequantize(quantised)
    assert (quantised.scales.float() == 0).sum() == 5
    assert not restored[1].any()
    assert not restored[2, 16:32].any()
    assert restored[2, :16].any()


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("amax", [2.0**-126, 2.0**-120, 1e-30, 1e30, 3.4028234663852886e38])
def test_the_ends_of_float32(amax: float, search: ScaleSearch) -> None:
    weight = torch.tensor([[amax, -amax, amax / 2, 0.0]])
    restored = dequantize(quantize(weight, search))
    assert restored.isfinite().all()
    # Near the bottom the global scale stops shrinking, and block scales are rounded instead.
    tolerance = 2e-6 if amax > 1e-32 else 1 / 16
    torch.testing.assert_close(restored, weight, rtol=tolerance, atol=0.0)


def test_below_the_smallest_normal_number_weights_become_zero() -> None:
    assert not dequantize(quantize(torch.full((1, 16), 1e-44))).any()


def test_faint_blocks_use_subnormal_scales() -> None:
    weight = torch.zeros(1, 32)
    weight[0, :16] = 1.0
    weight[0, 16:] = 6 * 2.0**-9 / 448 / 6
    quantised = quantize(weight, ScaleSearch.ABSMAX)
    assert 0 < quantised.scales.float()[0, 1] < 2.0**-6
    torch.testing.assert_close(dequantize(quantised), weight)


@pytest.mark.parametrize("shape", [(5,), (7, 1), (3, 17), (6, 4, 3, 3), (2, 3, 5, 1, 1)])
def test_padding_is_invisible(shape: tuple[int, ...]) -> None:
    weight = gaussian(*shape)
    quantised = quantize(weight)
    assert quantised.shape == shape
    assert dequantize(quantised).shape == shape
    assert sqnr_db(weight, dequantize(quantised)) > 15
    columns = math.prod(shape) // quantised.codes.shape[0]
    assert not (unpack_codes(quantised.codes)[:, columns:] & 7).any()


@pytest.mark.parametrize("search", SEARCHES)
def test_chunks_leave_no_seam(search: ScaleSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = gaussian(33, 80)
    whole = quantize(weight, search)
    monkeypatch.setitem(quantize_function.__wrapped__.__globals__, "_BLOCKS_PER_CHUNK", 7)
    parts = quantize(weight, search)
    assert torch.equal(whole.codes, parts.codes)
    assert torch.equal(whole.scales.view(torch.uint8), parts.scales.view(torch.uint8))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_all_float_types_are_taken(dtype: torch.dtype) -> None:
    weight = gaussian(8, 32).to(dtype)
    quantised, same = quantize(weight), quantize(weight.float())
    assert torch.equal(quantised.codes, same.codes)


def test_layout_and_gradients_do_not_matter() -> None:
    weight = gaussian(8, 6, 3, 3).requires_grad_()
    shuffled = weight.detach().contiguous(memory_format=torch.channels_last)
    assert torch.equal(quantize(weight).codes, quantize(shuffled).codes)
    assert not dequantize(quantize(weight)).requires_grad


@pytest.mark.parametrize(
    "weight",
    [
        torch.tensor([[1.0, float("nan")]]),
        torch.tensor([[1.0, float("inf")]]),
        torch.tensor([[1.0, -float("inf")]]),
        torch.tensor([[1e300]], dtype=torch.float64),
        torch.tensor(1.0),
        torch.ones(0, 16),
        torch.ones(4, 0),
        torch.ones(4, 16, dtype=torch.int32),
        torch.ones(4, 16, dtype=torch.complex64),
    ],
)
def test_what_is_no_weight_is_refused(weight: torch.Tensor) -> None:
    with pytest.raises(InvalidInputError):
        quantize(weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_types_round_once(dtype: torch.dtype) -> None:
    quantised = quantize(gaussian(16, 64))
    assert torch.equal(dequantize(quantised, dtype), dequantize(quantised).to(dtype))


def test_other_types_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="float32, float16 or bfloat16"):
        dequantize(quantize(torch.ones(1, 16)), torch.int32)


def test_codes_that_begin_at_an_odd_byte() -> None:
    quantised = quantize(gaussian(4, 32))
    memory = torch.cat([torch.zeros(1, dtype=torch.uint8), quantised.codes.flatten()])
    shifted = type(quantised)(
        memory[1:].view(4, 16), quantised.scales, quantised.global_scale, quantised.shape
    )
    assert torch.equal(dequantize(shifted), dequantize(quantised))


def test_the_table_survives_inference_mode() -> None:
    quantised = quantize(gaussian(4, 32))
    with torch.inference_mode():
        inside = dequantize(quantised, torch.bfloat16)
    x = torch.ones(2, 32, dtype=torch.bfloat16, requires_grad=True)
    torch.nn.functional.linear(x, dequantize(quantised, torch.bfloat16)).sum().backward()
    assert x.grad is not None
    assert torch.equal(inside, dequantize(quantised, torch.bfloat16))

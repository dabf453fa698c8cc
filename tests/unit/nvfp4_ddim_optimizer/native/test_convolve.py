"""The convolution kernel against torch in float64, over shapes, threads and instruction sets."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nvfp4_ddim_contracts import ScaleSearch
from nvfp4_ddim_optimizer.nn import convolve_3x3_dense
from nvfp4_ddim_optimizer.nn.winograd import convolve_3x3
from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor, dequantize, quantize

pytestmark = pytest.mark.usefixtures("instruction_set")


def parts(shape: tuple[int, ...], seed: int = 0) -> tuple[QuantizedTensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator)
    return quantize(weight, ScaleSearch.ABSMAX), torch.randn(shape[0], generator=generator)


def convolve(x: Tensor, weight: QuantizedTensor, bias: Tensor | None) -> Tensor:
    return convolve_3x3(x, weight.codes, weight.scales, weight.global_scale, bias)


def relative_error(x: Tensor, weight: QuantizedTensor, bias: Tensor | None) -> float:
    """In units of what the terms' magnitudes add up to: sums may cancel to nearly nothing."""
    exact = dequantize(weight).double()
    result = convolve(x, weight, bias)
    torch.testing.assert_close(convolve_3x3_dense(x, exact.float(), bias), result)
    offset = torch.zeros(len(exact)).double() if bias is None else bias.double()
    expected = nn.functional.conv2d(x.double(), exact, offset, padding=1)
    most = nn.functional.conv2d(x.double().abs(), exact.abs(), offset.abs(), padding=1)
    assert result.shape == expected.shape
    assert result.is_contiguous(memory_format=torch.channels_last)
    return float((result - expected).norm() / most.norm())


@st.composite
def inputs(draw: st.DrawFn) -> Tensor:
    """[B, C, H, W], in either memory format."""
    batch, channels = draw(st.integers(1, 3)), 16 * draw(st.integers(1, 6))
    x = torch.randn(batch, channels, draw(st.integers(1, 19)), draw(st.integers(1, 19)))
    return x.contiguous(memory_format=torch.channels_last) if draw(st.booleans()) else x


@settings(max_examples=40, deadline=None)
@given(x=inputs(), outputs=st.integers(1, 70), threads=st.integers(1, 4), with_bias=st.booleans())
def test_any_shape(x: Tensor, outputs: int, threads: int, with_bias: bool) -> None:
    weight, bias = parts((outputs, x.shape[1], 3, 3), seed=outputs)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert relative_error(x, weight, bias if with_bias else None) < 1e-5
    finally:
        torch.set_num_threads(before)


def test_more_channels_than_fit_the_cache_and_several_blocks_of_tiles() -> None:
    weight, bias = parts((24, 528, 3, 3))
    assert relative_error(torch.randn(2, 528, 50, 30), weight, bias) < 1e-5


def test_inputs_that_are_views() -> None:
    weight, bias = parts((20, 32, 3, 3))
    wide = torch.randn(2, 64, 9, 18)
    assert relative_error(wide[:, ::2, :, ::2], weight, bias) < 1e-5
    assert relative_error(wide.transpose(2, 3)[:, 32:], weight, bias) < 1e-5


def test_a_picture_does_not_depend_on_its_batch_or_the_threads() -> None:
    weight, bias = parts((48, 64, 3, 3))
    x = torch.randn(5, 64, 24, 24)
    together = convolve(x, weight, bias)
    torch.set_num_threads(2)
    try:
        assert torch.equal(convolve(x[3:4], weight, bias), together[3:4])
    finally:
        torch.set_num_threads(1)

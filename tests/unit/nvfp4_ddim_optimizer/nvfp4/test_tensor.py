import dataclasses

import pytest
import torch

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import (
    QuantizedTensor,
    dequantize,
    matrix_to_weight,
    packed_shapes,
    quantize,
    weight_to_matrix,
)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((8, 32), ((8, 16), (8, 2))),
        ((8, 33), ((8, 24), (8, 3))),
        ((4, 3, 3, 3), ((4, 16), (4, 2))),
        ((5,), ((1, 8), (1, 1))),
        ((1, 1), ((1, 8), (1, 1))),
    ],
)
def test_shapes_of_the_parts(shape: tuple[int, ...], expected: tuple[tuple[int, int], ...]) -> None:
    assert packed_shapes(shape) == expected


@pytest.mark.parametrize("shape", [(), (0,), (4, 0), (0, 4)])
def test_nothing_has_no_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match="nothing to quantise"):
        packed_shapes(shape)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("codes", torch.zeros(4, 16, dtype=torch.int8), "codes .* must be torch.uint8"),
        ("codes", torch.zeros(4, 8, dtype=torch.uint8), r"\[4, 16\]"),
        ("scales", torch.ones(4, 2), "float8_e4m3fn"),
        ("scales", torch.ones(2, 4).to(torch.float8_e4m3fn), r"\[4, 2\]"),
        ("scales", -torch.ones(4, 2).to(torch.float8_e4m3fn).float(), "float8_e4m3fn"),
        ("scales", (-torch.ones(4, 2)).to(torch.float8_e4m3fn), "negative or NaN"),
        (
            "scales",
            torch.full((4, 2), 0x7F, dtype=torch.uint8).view(torch.float8_e4m3fn),
            "negative or NaN",
        ),
        ("global_scale", torch.ones(1), "global_scale"),
        ("global_scale", torch.tensor(0.0), "positive and finite"),
        ("global_scale", torch.tensor(float("inf")), "positive and finite"),
        ("global_scale", torch.tensor(float("nan")), "positive and finite"),
        ("codes", torch.zeros(4, 16, dtype=torch.uint8, device="meta"), "several devices"),
    ],
)
def test_parts_that_do_not_fit_are_refused(part: str, value: torch.Tensor, message: str) -> None:
    right = quantize(torch.randn(4, 32, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(InvalidInputError, match=message):
        dataclasses.replace(right, **{part: value})


def test_bits_count_padding_and_all_scales() -> None:
    assert quantize(torch.ones(4, 32)).bits_per_weight == 4.5 + 32 / 128
    padded = quantize(torch.ones(4, 17))
    assert padded.bits_per_weight == 8 * (4 * 16 + 4 * 2 + 4) / (4 * 17)


def test_it_can_not_be_changed() -> None:
    quantised = quantize(torch.ones(1, 16))
    assert isinstance(quantised, QuantizedTensor)
    with pytest.raises(dataclasses.FrozenInstanceError):
        quantised.shape = (2, 8)  # type: ignore[misc]


def test_a_convolutions_columns_run_over_taps_then_channels() -> None:
    weight = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).reshape(2, 3, 2, 2)
    matrix = weight_to_matrix(weight)
    assert matrix[0].tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    assert torch.equal(matrix_to_weight(matrix, (2, 3, 2, 2)), weight)


@pytest.mark.parametrize("shape", [(5,), (3, 7), (4, 5, 3), (4, 16, 3, 3), (2, 3, 1, 5)])
def test_matrices_become_weights_again(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape)
    matrix = torch.nn.functional.pad(weight_to_matrix(weight), (0, 3))
    assert torch.equal(matrix_to_weight(matrix, shape), weight)


def test_a_dequantised_convolution_is_channels_last() -> None:
    dense = dequantize(quantize(torch.randn(8, 16, 3, 3)))
    assert dense.is_contiguous(memory_format=torch.channels_last)

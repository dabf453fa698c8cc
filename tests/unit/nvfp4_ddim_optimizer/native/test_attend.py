"""The attention kernel against torch in float64, over shapes, threads and instruction sets."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from nvfp4_ddim_optimizer.nn import attend

pytestmark = pytest.mark.usefixtures("instruction_set")

COUNTS = st.integers(1, 70)


def tokens(batch: int, heads: int, count: int, width: int, seed: int) -> Tensor:
    """[B, H, N, D], the heads of a token together, as a layer's projection leaves them."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, count, heads * width, generator=generator)
    return x.unflatten(-1, (heads, width)).transpose(1, 2)


def error(query: Tensor, key: Tensor, value: Tensor) -> float:
    result = attend(query, key, value)
    exact = scaled_dot_product_attention(query.double(), key.double(), value.double())
    assert result.is_contiguous()
    return float((result.transpose(1, 2) - exact).abs().max() / value.abs().max())


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 2),
    heads=st.integers(1, 3),
    queries=COUNTS,
    keys=COUNTS,
    width=st.integers(1, 50),
    values=st.integers(1, 50),
    threads=st.integers(1, 4),
)
def test_any_shape(
    *, batch: int, heads: int, queries: int, keys: int, width: int, values: int, threads: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        query = tokens(batch, heads, queries, width, 1)
        key = tokens(batch, heads, keys, width, 2)
        value = tokens(batch, heads, keys, values, 3)
        assert error(query, key, value) < 3e-6
    finally:
        torch.set_num_threads(before)


def test_more_queries_and_keys_than_a_block() -> None:
    query, key, value = (tokens(1, 2, 1100, 40, seed) for seed in range(3))
    assert error(query, key, value) < 3e-6


@pytest.mark.parametrize("magnitude", [1e-30, 1e-3, 30.0, 300.0])
def test_scores_of_any_magnitude(magnitude: float) -> None:
    """At 300, differences of scores go far beyond where exp is 0 in float32."""
    query, key, value = (tokens(1, 1, 600, 16, seed) for seed in range(3))
    assert error(query * magnitude, key, value) < 2e-6 * max(1, magnitude)


def test_scores_that_grow_from_block_to_block() -> None:
    query, value = tokens(1, 1, 20, 8, 0).abs(), tokens(1, 1, 2000, 8, 1)
    key = torch.linspace(-40, 40, 2000).view(1, 1, -1, 1).expand(-1, -1, -1, 8)
    assert error(query, key, value) < 1e-4
    assert error(query, key.flip(2), value) < 1e-4


def test_equal_scores_give_the_mean() -> None:
    value = tokens(1, 1, 300, 5, 0)
    result = attend(torch.zeros(1, 1, 3, 4), tokens(1, 1, 300, 4, 1), value)
    torch.testing.assert_close(result, value.mean(2, keepdim=True).expand_as(result))


def test_not_a_number_is_not_hidden() -> None:
    query, key, value = (tokens(1, 1, 40, 8, seed).contiguous() for seed in range(3))
    query[0, 0, 7, 3] = torch.nan
    result = attend(query, key, value)
    assert result[0, 7].isnan().all()
    assert not result[0, :7].isnan().any()
    assert not result[0, 8:].isnan().any()


def test_inputs_whose_numbers_lie_apart() -> None:
    query, key, value = (tokens(2, 2, 30, 12, seed)[..., ::2] for seed in range(3))
    assert error(query, key, value) < 3e-6


def test_a_picture_does_not_depend_on_its_batch_or_the_threads() -> None:
    query, key, value = (tokens(3, 2, 500, 24, seed) for seed in range(3))
    together = attend(query, key, value)
    torch.set_num_threads(2)
    try:
        assert torch.equal(attend(query[1:2], key[1:2], value[1:2]), together[1:2])
    finally:
        torch.set_num_threads(1)

import pytest
import torch
from diffusers.models.attention_processor import Attention
from hypothesis import given, settings
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.denoiser import TokenMerging, enable_token_merging
from nvfp4_ddim_optimizer.denoiser.merging import TokenMergingProcessor, match_tokens

SIZES = st.integers(1, 6)
RATIOS = st.sampled_from([0.0, 0.25, 0.5, 0.75])


def tokens(height: int, width: int, batch: int = 2, channels: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height * 31 + width)
    return torch.randn(batch, height * width, channels, generator=generator)


@settings(deadline=None, max_examples=40)  # many small operations, slow on a busy machine
@given(SIZES, SIZES, RATIOS)
def test_every_token_is_kept_merged_or_a_destination_once(
    height: int, width: int, ratio: float
) -> None:
    x = tokens(height, width)
    match = match_tokens(x, TokenMerging(height, width, ratio))
    for row in range(len(x)):
        places = [*match.kept[row].flatten(), *match.merged[row].flatten(), *match.destinations]
        assert sorted(map(int, places)) == list(range(height * width))
    assert len(match.destinations) == -(-height // 2) * -(-width // 2)
    assert match.merge(x).shape[1] == height * width - match.merged.shape[1]


@settings(deadline=None, max_examples=40)  # many small operations, slow on a busy machine
@given(SIZES, SIZES, RATIOS)
def test_unmerging_leaves_single_tokens_as_they_were(height: int, width: int, ratio: float) -> None:
    """Kept tokens come back; a merged one comes back as the mean it went into."""
    x = tokens(height, width)
    match = match_tokens(x, TokenMerging(height, width, ratio))
    back = match.unmerge(match.merge(x))
    for row in range(len(x)):
        kept = match.kept[row].flatten()
        assert torch.equal(back[row, kept], x[row, kept])
        for number, place in enumerate(match.destinations):
            group = torch.cat([place[None], match.merged[row][match.target[row] == number]])
            mean = x[row, group].mean(dim=0).expand(len(group), -1)
            torch.testing.assert_close(back[row, group], mean)


@settings(deadline=None, max_examples=40)  # many small operations, slow on a busy machine
@given(SIZES, SIZES, RATIOS)
def test_tokens_that_are_all_alike_lose_nothing(height: int, width: int, ratio: float) -> None:
    x = tokens(1, 1).expand(-1, height * width, -1)
    match = match_tokens(x, TokenMerging(height, width, ratio))
    torch.testing.assert_close(match.unmerge(match.merge(x)), x)


def test_merges_the_most_similar_first() -> None:
    x = tokens(4, 4, batch=1)
    destination = int(match_tokens(x, TokenMerging(4, 4, 0.0)).destinations[2])
    twin = next(
        p for p in range(16) if p not in match_tokens(x, TokenMerging(4, 4, 0.0)).destinations
    )
    x[0, twin] = 3 * x[0, destination]  # cosine similarity does not mind the length
    match = match_tokens(x, TokenMerging(4, 4, 1 / 16))
    assert match.merged.flatten().tolist() == [twin]
    assert match.target.flatten().tolist() == [2]


def test_attends_over_fewer_tokens_in_full_resolution_self_attention_only() -> None:
    seen: list[int] = []

    def inner(attn: object, hidden_states: torch.Tensor, **_: object) -> torch.Tensor:
        seen.append(hidden_states.shape[1])
        return hidden_states

    process = TokenMergingProcessor(inner)
    merging = TokenMerging(8, 8, 0.5)
    x = tokens(8, 8)
    assert process(None, x, token_merging=merging).shape == x.shape
    process(None, x, encoder_hidden_states=tokens(1, 5), token_merging=merging)
    process(None, tokens(4, 4), token_merging=merging)
    process(None, x)
    assert seen == [32, 64, 16, 64]


@torch.inference_mode()
def test_a_ratio_of_nothing_is_plain_attention() -> None:
    attention = Attention(query_dim=6, heads=2, dim_head=3)
    x = tokens(6, 6)
    plain = attention(x)
    enable_token_merging(attention)
    assert torch.equal(attention(x), plain)
    # No token is merged, but they are put in another order, which changes the order of sums.
    same = attention(x, token_merging=TokenMerging(6, 6, 0.0))
    torch.testing.assert_close(same, plain)
    assert not torch.allclose(attention(x, token_merging=TokenMerging(6, 6, 0.5)), plain)


def test_teaching_twice_wraps_once() -> None:
    attention = Attention(query_dim=6, heads=2, dim_head=3)
    enable_token_merging(attention)
    processor = attention.processor
    enable_token_merging(attention)
    assert attention.processor is processor
    assert not isinstance(processor.inner, TokenMergingProcessor)


@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_the_same_tokens_are_merged_every_time(ratio: float) -> None:
    x, merging = tokens(8, 8), TokenMerging(8, 8, ratio)
    first, second = match_tokens(x, merging), match_tokens(x, merging)
    assert torch.equal(first.merged, second.merged)
    assert torch.equal(first.target, second.target)

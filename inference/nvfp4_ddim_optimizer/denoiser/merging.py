"""Token merging: self-attention over fewer tokens, those that resemble another one left out.

Every 2 x 2 cell of the latent has one destination token; the others are sources. The sources that
resemble some destination most are averaged into it before attention, and take its outcome after.

Source: Bolya & Hoffman 2023, "Token Merging for Fast Stable Diffusion" (arXiv:2303.17604), with
    destinations at places that are random but the same in every step, so that a seed gives the
    same picture always; Bolya et al. 2023 (arXiv:2210.09461) for the matching.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

__all__ = ["TokenMerging", "TokenMergingProcessor", "enable_token_merging", "match_tokens"]

_CELL = 2


@dataclass(frozen=True)
class TokenMerging:
    """How self-attention at the full resolution merges tokens.

    Attributes:
        height: Of the latent.
        width: Of the latent.
        ratio: Share of the height x width tokens to merge, 0 to 0.75.
    """

    height: int
    width: int
    ratio: float


@dataclass(frozen=True)
class TokenMatch:
    """Which tokens are merged into which. S sources stay, R are merged, D are destinations.

    Attributes:
        kept: [B, S, 1], places of the sources that stay.
        merged: [B, R, 1], places of the sources that are merged.
        target: [B, R, 1], which destination each is merged into, 0 to D - 1.
        destinations: [D], places of the destinations.
    """

    kept: Tensor
    merged: Tensor
    target: Tensor
    destinations: Tensor

    def merge(self, tokens: Tensor) -> Tensor:
        """Average merged tokens: [B, N, C] -> [B, S + D, C]."""
        channels = tokens.shape[-1]
        into = tokens[:, self.destinations]
        into = into.scatter_reduce(
            1,
            self.target.expand(-1, -1, channels),
            _take(tokens, self.merged),
            reduce="mean",
        )
        return torch.cat([_take(tokens, self.kept), into], dim=1)

    def unmerge(self, tokens: Tensor) -> Tensor:
        """Give every token an outcome: [B, S + D, C] -> [B, N, C]."""
        channels = tokens.shape[-1]
        count = self.kept.shape[1]
        kept, destinations = tokens[:, :count], tokens[:, count:]
        whole = count + self.merged.shape[1] + len(self.destinations)
        outcome = tokens.new_empty(tokens.shape[0], whole, channels)
        outcome[:, self.destinations] = destinations
        outcome.scatter_(1, self.kept.expand(-1, -1, channels), kept)
        return outcome.scatter_(
            1, self.merged.expand(-1, -1, channels), _take(destinations, self.target)
        )


def match_tokens(tokens: Tensor, merging: TokenMerging) -> TokenMatch:
    """Find the tokens that can best be spared.

    Args:
        tokens: [B, H W, C]; their cosine similarity is what counts.
        merging: Size of the latent, and how many to merge.

    Returns:
        The most similar round(ratio H W) sources, each with its most similar destination; fewer
        where there are not so many sources.
    """
    sources, destinations = _places(merging.height, merging.width)
    sources, destinations = sources.to(tokens.device), destinations.to(tokens.device)
    unit = normalize(tokens, dim=-1)
    similarity = unit[:, sources] @ unit[:, destinations].transpose(1, 2)
    best, target = similarity.max(dim=-1)
    order = best.argsort(dim=-1, descending=True, stable=True)
    count = min(round(merging.ratio * tokens.shape[1]), len(sources))
    merged, kept = order[:, :count], order[:, count:]
    return TokenMatch(
        kept=sources[kept].unsqueeze(-1),
        merged=sources[merged].unsqueeze(-1),
        target=target.gather(1, merged).unsqueeze(-1),
        destinations=destinations,
    )


class TokenMergingProcessor:
    """An attention processor that can merge tokens around the one it wraps.

    Does so only where a call's `token_merging` asks for it, so that runs with and without can
    share a UNet, and only in self-attention at the latent's full resolution: tokens deeper down
    are few already.
    """

    def __init__(self, inner: Callable[..., Tensor]) -> None:
        """Wrap a processor."""
        self.inner = inner

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_merging: TokenMerging | None = None,
    ) -> Tensor:
        """Attend; arguments and outcome are those of diffusers' processors.

        Args:
            attn: diffusers' Attention.
            hidden_states: [B, N, C].
            encoder_hidden_states: [B, L, D], or None in self-attention.
            attention_mask: As diffusers has it.
            token_merging: How to merge; None: not.
        """
        whole = {"encoder_hidden_states": encoder_hidden_states, "attention_mask": attention_mask}
        if (
            token_merging is None
            or encoder_hidden_states is not None
            or hidden_states.shape[1] != token_merging.height * token_merging.width
        ):
            return self.inner(attn, hidden_states, **whole)
        match = match_tokens(hidden_states, token_merging)
        return match.unmerge(self.inner(attn, match.merge(hidden_states), **whole))


def enable_token_merging(unet: Any) -> None:
    """Teach a UNet's attention to merge tokens; nothing changes until a call asks for it.

    Args:
        unet: UNet2DConditionModel; may be in use by other runs.
    """
    for module in unet.modules():
        processor = getattr(module, "processor", None)
        if processor is not None and not isinstance(processor, TokenMergingProcessor):
            module.set_processor(TokenMergingProcessor(processor))


@functools.lru_cache(maxsize=16)
def _places(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Indices of sources and of destinations among height x width tokens, both ascending."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = -(-height // _CELL), -(-width // _CELL)
    shift = torch.randint(_CELL**2, (rows, columns), generator=generator)
    y = torch.arange(rows)[:, None] * _CELL + shift // _CELL
    x = torch.arange(columns)[None, :] * _CELL + shift % _CELL
    # Cells cut by the lower or right edge have their destination inside.
    index = y.clamp(max=height - 1) * width + x.clamp(max=width - 1)
    is_destination = torch.zeros(height * width, dtype=torch.bool)
    is_destination[index.flatten()] = True
    places = torch.arange(height * width)
    return places[~is_destination], places[is_destination]


def _take(tokens: Tensor, index: Tensor) -> Tensor:
    """[B, N, C] at [B, K, 1] -> [B, K, C]."""
    return tokens.gather(1, index.expand(-1, -1, tokens.shape[-1]))

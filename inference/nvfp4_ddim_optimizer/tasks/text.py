"""Prompts to embeddings, remembered so that a repeated prompt costs nothing."""

import warnings
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["PromptTruncatedWarning", "TextConditioner"]

_CACHED_PROMPTS = 64  # 15 MB for Stable Diffusion's 77 x 768 float32


class PromptTruncatedWarning(UserWarning):
    """A prompt has more tokens than the text encoder reads.

    Attributes:
        lost: The text that had no influence.
        limit: How many tokens the encoder reads, begin and end marks included.
    """

    def __init__(self, lost: str, limit: int) -> None:
        self.lost = lost
        self.limit = limit
        super().__init__(f"only the first {limit} tokens of the prompt count; ignored: {lost!r}")


class TextConditioner:
    """A CLIP tokenizer and text encoder, with the last prompts' embeddings kept."""

    def __init__(self, tokenizer: Any, text_encoder: Any, device: torch.device) -> None:
        """Wrap a tokenizer and an encoder.

        Args:
            tokenizer: CLIPTokenizer.
            text_encoder: CLIPTextModel. SD 2.x's penultimate layer is in its config already.
            device: Where token ids are put.
        """
        self._tokenizer = tokenizer
        self._text_encoder = text_encoder
        self._device = device
        self._cache: OrderedDict[str, Tensor] = OrderedDict()

    @property
    def token_limit(self) -> int:
        """L, the tokens the encoder reads, begin and end marks included."""
        positions = int(self._text_encoder.config.max_position_embeddings)
        return min(int(self._tokenizer.model_max_length), positions)

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Embed prompts.

        Args:
            prompts: B texts; what exceeds the token limit is cut off with a
                `PromptTruncatedWarning`.

        Returns:
            [B, L, D] in the encoder's dtype. Each text is encoded on its own, so that its
            embedding does not depend on the batch.
        """
        return torch.cat([self._encode_one(prompt) for prompt in prompts])

    def _encode_one(self, prompt: str) -> Tensor:
        self._warn_if_truncated(prompt)
        remembered = self._cache.pop(prompt, None)
        if remembered is None:
            remembered = self._run_encoder(prompt)
        # Single operations on the dictionary, each atomic: runs on several threads share it.
        self._cache[prompt] = remembered
        if len(self._cache) > _CACHED_PROMPTS:
            self._cache.popitem(last=False)
        return remembered

    def _run_encoder(self, prompt: str) -> Tensor:
        tokens = self._tokenizer(
            prompt,
            padding="max_length",
            max_length=self.token_limit,
            truncation=True,
            return_tensors="pt",
        )
        mask = None
        if getattr(self._text_encoder.config, "use_attention_mask", False):
            mask = tokens.attention_mask.to(self._device)
        embedding: Tensor = self._text_encoder(
            tokens.input_ids.to(self._device), attention_mask=mask
        ).last_hidden_state
        return embedding

    def _warn_if_truncated(self, prompt: str) -> None:
        ids = self._tokenizer(prompt, truncation=False, verbose=False).input_ids
        if len(ids) > self.token_limit:
            # The end mark takes the limit's last place.
            lost = self._tokenizer.decode(ids[self.token_limit - 1 : -1])
            warnings.warn(PromptTruncatedWarning(lost, self.token_limit), stacklevel=5)

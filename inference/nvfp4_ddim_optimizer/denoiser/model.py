"""The UNet as the function that guidance asks."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.diffusion import Branch

from .cache import FeatureCache
from .merging import TokenMerging, enable_token_merging
from .passes import check_divisible, full_pass, shallow_pass

__all__ = ["Denoiser"]


class Denoiser:
    """One run's view of a UNet: a `BranchModel` of float32 tensors, whatever it computes in.

    The UNet is shared between runs; what is remembered between steps is here.
    """

    def __init__(
        self,
        unet: Any,
        conditions: Mapping[Branch, Tensor],
        *,
        compute_dtype: torch.dtype = torch.float32,
        batched: bool = True,
        cache: FeatureCache | None = None,
        token_merging_ratio: float = 0.0,
    ) -> None:
        """Set up a run.

        Args:
            unet: UNet2DConditionModel.
            conditions: Prompt embeddings [B, L, D] of each branch that will be asked for.
            compute_dtype: What the UNet computes in.
            batched: Predict the branches in one batch, or one after the other in half the
                memory. The results differ by rounding only.
            cache: Reuse deep features, where it has some.
            token_merging_ratio: Share of the tokens merged around self-attention.

        Raises:
            ModelNotSupportedError: The UNet can't be cut where the cache needs it.
        """
        self._unet = unet
        self._conditions = conditions
        self._compute_dtype = compute_dtype
        self._batched = batched
        self._cache = cache
        self._ratio = token_merging_ratio
        if cache is not None:
            check_divisible(unet)
        if token_merging_ratio > 0:
            enable_token_merging(unet)

    def __call__(self, x: Tensor, t: int, branches: tuple[Branch, ...]) -> tuple[Tensor, ...]:
        """Predict.

        Args:
            x: x_t, [B, C, H, W] float32.
            t: Timestep.
            branches: What to predict; each has a condition.

        Returns:
            One prediction [B, C, H, W] float32 for each branch.
        """
        groups = [branches] if self._batched else [(branch,) for branch in branches]
        return tuple(part for group in groups for part in self._predict(x, t, group))

    def _predict(self, x: Tensor, t: int, branches: tuple[Branch, ...]) -> tuple[Tensor, ...]:
        inputs = torch.cat([x] * len(branches)).to(self._compute_dtype)
        condition = torch.cat([self._conditions[branch] for branch in branches])
        # A tensor rather than an int, or torch.compile would compile once for every timestep.
        timestep = torch.tensor(t, device=x.device)
        prediction = self._run(inputs, timestep, condition, t, branches)
        return prediction.float().chunk(len(branches))

    def _run(
        self,
        inputs: Tensor,
        timestep: Tensor,
        condition: Tensor,
        t: int,
        branches: tuple[Branch, ...],
    ) -> Tensor:
        options: dict[str, Any] = {}
        if self._ratio > 0:
            height, width = inputs.shape[-2:]
            options["token_merging"] = TokenMerging(height, width, self._ratio)
        if self._cache is None:
            prediction: Tensor = self._unet(
                inputs,
                timestep,
                encoder_hidden_states=condition,
                cross_attention_kwargs=options or None,
                return_dict=False,
            )[0]
            return prediction
        _fetch(self._unet)
        deep = self._cache.recall(t, branches)
        is_compiled = getattr(self._unet, "_compiled_call_impl", None) is not None
        if deep is not None:
            shallow = _compiled(shallow_pass) if is_compiled else shallow_pass
            return shallow(self._unet, inputs, timestep, condition, deep, options=options)
        full = _compiled(full_pass) if is_compiled else full_pass
        prediction, deep = full(self._unet, inputs, timestep, condition, options=options)
        self._cache.store(branches, deep)
        return prediction


@functools.cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """torch.compile, once; the UNet's own compiled forward is of no use to a part of it."""
    return torch.compile(function)


def _fetch(unet: Any) -> None:
    """Have accelerate bring an offloaded UNet to its device, as calling it would."""
    hook = getattr(unet, "_hf_hook", None)
    if hook is not None:
        hook.pre_forward(unet)

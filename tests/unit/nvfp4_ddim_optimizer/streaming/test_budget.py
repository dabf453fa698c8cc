"""Sizes that are estimated from samples."""

import pytest
import torch
from torch import Tensor

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import entropy_bits, quantize_rate_distortion
from nvfp4_ddim_optimizer.streaming import StorageModel

KEPT = 1000


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def weights() -> list[tuple[str, Tensor]]:
    return [("unet.a", gaussian(256, 512)), ("unet.b", gaussian(64, 48, 3, 3, seed=1).bfloat16())]


@pytest.fixture(scope="module")
def model(weights: list[tuple[str, Tensor]]) -> StorageModel:
    return StorageModel.of(weights, KEPT)


def test_the_estimate_is_close_to_the_whole_layers_entropy(
    model: StorageModel, weights: list[tuple[str, Tensor]]
) -> None:
    rate = 0.007
    exact = KEPT + sum(
        weight.numel() * (sum(entropy_bits(quantize_rate_distortion(weight, rate))) + 0.025) / 8
        for _, weight in weights
    )
    assert model.bytes_at(rate) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("share", [0.99, 0.95, 0.9])
def test_the_size_that_is_asked_for_is_met_and_used(model: StorageModel, share: float) -> None:
    target = share * model.bytes_at(0.0)
    rate = model.rate_weight_for(target)
    assert 0.99 * target < model.bytes_at(rate) <= target


def test_a_generous_target_costs_no_error(model: StorageModel) -> None:
    assert model.rate_weight_for(model.bytes_at(0.0)) == 0.0


def test_a_smaller_target_has_a_larger_rate_weight(model: StorageModel) -> None:
    size = model.bytes_at(0.0)
    rates = [model.rate_weight_for(share * size) for share in (0.98, 0.95, 0.9, 0.85)]
    assert rates == sorted(rates)


def test_what_can_not_be_met_is_refused_with_what_can(model: StorageModel) -> None:
    with pytest.raises(InvalidInputError, match=r"can't take less than about 0\.1 MB"):
        model.rate_weight_for(KEPT + 1)

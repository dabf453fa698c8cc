import copy

import torch
from torch import nn

from nvfp4_ddim_optimizer.nn import compute_as_stored, weight_like


def model() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "embedding": nn.Embedding(10, 16),
            "layer_norm": nn.LayerNorm(16),
            "linear": nn.Linear(16, 16),
            "bare": nn.Linear(16, 16, bias=False),
            "group_norm": nn.GroupNorm(4, 16),
            "conv": nn.Conv2d(16, 8, 3, stride=2, padding=1, padding_mode="reflect"),
        }
    )


def run(parts: nn.ModuleDict) -> torch.Tensor:
    x = parts["layer_norm"](parts["embedding"](torch.arange(9)))
    x = parts["bare"](parts["linear"](x)).T.reshape(1, 16, 3, 3)
    result: torch.Tensor = parts["conv"](parts["group_norm"](x))
    return result


@torch.inference_mode()
def test_computes_with_stored_weights_as_if_they_had_been_cast_before() -> None:
    stored = model().bfloat16()
    cast = copy.deepcopy(stored).float()
    names = compute_as_stored(stored, torch.float32)
    assert names == set(stored.state_dict())
    result = run(stored)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, run(cast))
    assert {tensor.dtype for tensor in stored.state_dict().values()} == {torch.bfloat16}


def test_layers_stay_what_they_were() -> None:
    parts = model()
    names = list(parts.state_dict())
    compute_as_stored(parts, torch.float32)
    assert list(parts.state_dict()) == names
    assert isinstance(parts["linear"], nn.Linear)
    assert isinstance(parts["conv"], nn.Conv2d)


def test_other_layers_are_left_alone() -> None:
    attention = nn.MultiheadAttention(16, 2)
    assert compute_as_stored(attention, torch.float32) == frozenset()


def test_a_weight_that_fits_is_not_copied() -> None:
    weight = torch.zeros(2, 2)
    assert weight_like(weight, torch.zeros(1)) is weight
    kernel = weight_like(torch.zeros(4, 4, 3, 3, dtype=torch.bfloat16), torch.zeros(1))
    assert kernel.dtype == torch.float32
    assert kernel.is_contiguous(memory_format=torch.channels_last)

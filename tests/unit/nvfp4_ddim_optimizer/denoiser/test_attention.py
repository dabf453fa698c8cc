import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor
from torch import nn

from nvfp4_ddim_optimizer.denoiser import attention, install_attention


def layer(**options: object) -> Attention:
    torch.manual_seed(0)
    return Attention(query_dim=24, heads=3, dim_head=8, **options).eval()


def is_equipped(module: Attention) -> bool:
    install_attention(nn.ModuleList([module]))
    return isinstance(module.processor, attention.AttentionProcessor)


@pytest.mark.parametrize("cross", [False, True])
@torch.no_grad()
def test_computes_what_diffusers_does(cross: bool) -> None:
    module = layer(cross_attention_dim=20 if cross else None, bias=True)
    tokens = torch.randn(2, 30, 24)
    text = torch.randn(2, 7, 20) if cross else None
    expected = module(tokens, encoder_hidden_states=text)
    assert is_equipped(module)
    torch.testing.assert_close(module(tokens, encoder_hidden_states=text), expected)


@torch.no_grad()
def test_leaves_masks_and_other_numbers_to_diffusers() -> None:
    module = layer()
    tokens, mask = torch.randn(2, 6, 24), torch.tensor([[0.0] * 5 + [-1e4]] * 2)[:, None]
    expected = module(tokens, attention_mask=mask)
    double = module.double()(tokens.double())
    module.float()
    assert is_equipped(module)
    torch.testing.assert_close(module(tokens, attention_mask=mask), expected)
    torch.testing.assert_close(module.double()(tokens.double()), double)


def test_gradients_still_flow() -> None:
    module = layer()
    assert is_equipped(module)
    tokens = torch.randn(1, 6, 24, requires_grad=True)
    module(tokens).sum().backward()
    assert tokens.grad is not None
    assert tokens.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "options",
    [
        {"residual_connection": True},
        {"rescale_output_factor": 2.0},
        {"norm_num_groups": 4},
        {"kv_heads": 1},
        {"processor": AttnProcessor()},
        {"qk_norm": "layer_norm"},
    ],
)
def test_layers_that_do_more_are_left_alone(options: dict[str, object]) -> None:
    assert not is_equipped(layer(**options))


@torch.no_grad()
def test_compiled_layers_call_one_operator() -> None:
    module = layer()
    assert is_equipped(module)
    tokens = torch.randn(1, 6, 24)
    program = torch.export.export(module, (tokens,))
    names = [str(node.target) for node in program.graph.nodes]
    assert "nvfp4_ddim.attend.default" in names
    torch.testing.assert_close(program.module()(tokens), module(tokens))

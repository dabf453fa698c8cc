"""The two passes against diffusers' own forward, bit for bit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from nvfp4_ddim_optimizer.denoiser import full_pass, shallow_pass
from nvfp4_ddim_optimizer.denoiser.passes import check_divisible
from nvfp4_ddim_optimizer.errors import ModelNotSupportedError

T = torch.tensor(500)


def inputs(unet: Any, height: int = 8, width: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, unet.config.in_channels, height, width, generator=generator)
    return x, torch.randn(2, 5, unet.config.cross_attention_dim, generator=generator)


@pytest.fixture(params=["sd1", "sd2", "taesd", "deep", "no middle"])
def unet(
    request: pytest.FixtureRequest,
    tiny_pipeline: Callable[..., Any],
    deep_unet: Callable[..., Any],
) -> Any:
    if request.param == "deep":
        return deep_unet()
    if request.param == "no middle":
        return deep_unet(mid_block_type=None)
    return tiny_pipeline(request.param).unet


@pytest.mark.parametrize("size", [(8, 8), (8, 12), (5, 7), (1, 3)])
@torch.inference_mode()
def test_a_full_pass_is_the_unets_own_bit_for_bit(unet: Any, size: tuple[int, int]) -> None:
    x, condition = inputs(unet, *size)
    expected = unet(x, T, encoder_hidden_states=condition, return_dict=False)[0]
    prediction, deep = full_pass(unet, x, T, condition, options={})
    assert torch.equal(prediction, expected)
    assert deep.shape[0] == 2
    assert deep.shape[2:] == x.shape[2:]
    # A shallow pass on the features of the same step must give the same again.
    assert torch.equal(shallow_pass(unet, x, T, condition, deep, options={}), expected)


@torch.inference_mode()
def test_a_shallow_pass_runs_the_outermost_layers_only(deep_unet: Callable[..., Any]) -> None:
    unet = deep_unet()
    x, condition = inputs(unet)
    _, deep = full_pass(unet, x, T, condition, options={})
    ran: list[str] = []
    for name, module in unet.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    shallow_pass(unet, x, T, condition, deep, options={})
    outermost = ("time_", "conv_", "up_blocks.2.resnets.2", "up_blocks.2.attentions.2")
    assert {name for name in ran if not name.startswith(outermost)} == set()
    assert {"conv_in", "conv_out", "up_blocks.2.resnets.2", "up_blocks.2.attentions.2"} <= set(ran)


@torch.inference_mode()
def test_a_shallow_pass_sees_the_new_latent_and_the_new_timestep(
    deep_unet: Callable[..., Any],
) -> None:
    unet = deep_unet()
    x, condition = inputs(unet)
    prediction, deep = full_pass(unet, x, T, condition, options={})
    moved = shallow_pass(unet, x + 0.5, T, condition, deep, options={})
    later = shallow_pass(unet, x, torch.tensor(20), condition, deep, options={})
    assert not torch.allclose(moved, prediction)
    assert not torch.allclose(later, prediction)


def test_refuses_a_unet_whose_last_block_can_not_be_cut(deep_unet: Callable[..., Any]) -> None:
    check_divisible(deep_unet())
    unet = deep_unet(up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "SimpleCrossAttnUpBlock2D"))
    with pytest.raises(ModelNotSupportedError, match="cache_interval=1"):
        check_divisible(unet)

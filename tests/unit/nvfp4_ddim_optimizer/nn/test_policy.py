import pytest
from torch import nn

from nvfp4_ddim_optimizer.nn import KeepRule, LayerPolicy


@pytest.mark.parametrize(
    ("component", "name", "reason"),
    [
        ("unet", "conv_in", "first and the last"),
        ("unet", "conv_out", "first and the last"),
        ("unet", "time_embedding.linear_1", "time embedding"),
        ("unet", "class_embedding", "time embedding"),
        ("vae", "decoder.conv_in", "autoencoder"),
        ("unet", "down_blocks.0.resnets.0.time_emb_proj", None),
        ("unet", "down_blocks.0.resnets.0.conv1", None),
        ("unet", "conv_in_extra", None),
        ("text_encoder", "encoder.layers.0.mlp.fc1", None),
        ("text_encoder", "conv_in", None),
    ],
)
def test_what_stays_and_why(component: str, name: str, reason: str | None) -> None:
    verdict = LayerPolicy().reason_to_keep(component, name, nn.Linear(64, 64))
    assert verdict is None if reason is None else reason in (verdict or "")


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.Conv2d(64, 64, 3, groups=64), "fewer than 16 inputs"),
        (nn.Linear(8, 512), "fewer than 16 inputs"),
        (nn.Linear(32, 16), "fewer than 1024 weights"),
        (nn.Conv2d(64, 64, 3, padding_mode="reflect"), "padding mode"),
    ],
)
def test_layers_that_gain_nothing_stay(layer: nn.Module, reason: str) -> None:
    assert reason in (LayerPolicy().reason_to_keep("unet", "block.layer", layer) or "")


def test_rules_are_the_callers_to_set() -> None:
    policy = LayerPolicy(rules=(KeepRule("unet", r"mid_block\.", "measured"),), min_parameters=0)
    assert policy.reason_to_keep("unet", "mid_block.conv", nn.Linear(16, 1)) == "measured"
    assert policy.reason_to_keep("unet", "conv_in", nn.Linear(16, 1)) is None

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel


@pytest.fixture(scope="session")
def deep_unet() -> Callable[..., Any]:
    """Build a UNet of three levels, two layers each, with what the tiny pipelines' don't have."""

    def build(**settings: Any) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return UNet2DConditionModel(
                **{
                    "sample_size": 8,
                    "block_out_channels": (16, 32, 32),
                    "layers_per_block": 2,
                    "norm_num_groups": 8,
                    "cross_attention_dim": 24,
                    "attention_head_dim": 4,
                    "down_block_types": (
                        "CrossAttnDownBlock2D",
                        "CrossAttnDownBlock2D",
                        "DownBlock2D",
                    ),
                    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
                    "center_input_sample": True,
                    "time_embedding_act_fn": "silu",
                    **settings,
                }
            ).eval()

    return build

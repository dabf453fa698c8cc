"""Published architectures with random weights: the same work as the real checkpoints, no download.

    python -m benchmarks.architectures sd15 /tmp/sd15

Weights are independent Gaussian numbers, the hardest kind to quantise and to compress: trained
weights have heavier tails and structure that both can use.
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from nvfp4_ddim_optimizer.sources import bundled_models

__all__ = ["ARCHITECTURES", "Architecture", "empty_unet", "random_tensor", "write_model"]

_MAX_TOKENS = 77
_VOCABULARY = 49408
_DOWN = "CrossAttnDownBlock2D"
_UP = "CrossAttnUpBlock2D"


@dataclass(frozen=True)
class Architecture:
    """What sets one model apart from the others.

    Attributes:
        native_size: Side of its pictures in pixels.
        prediction_type: What the UNet predicts.
        unet: Arguments of UNet2DConditionModel.
        text: Arguments of CLIPTextConfig. None: only the UNet is made (SDXL has two encoders).
    """

    native_size: int
    prediction_type: str
    unet: dict[str, Any]
    text: dict[str, Any] | None


ARCHITECTURES = {
    "sd15": Architecture(
        native_size=512,
        prediction_type="epsilon",
        unet={"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
        text={
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "hidden_act": "quick_gelu",
        },
    ),
    "sd21": Architecture(
        native_size=768,
        prediction_type="v_prediction",
        unet={
            "sample_size": 96,
            "cross_attention_dim": 1024,
            "attention_head_dim": (5, 10, 20, 20),
            "use_linear_projection": True,
        },
        text={
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 23,
            "num_attention_heads": 16,
            "hidden_act": "gelu",
        },
    ),
    "sdxl": Architecture(
        native_size=1024,
        prediction_type="epsilon",
        unet={
            "sample_size": 128,
            "cross_attention_dim": 2048,
            "attention_head_dim": (5, 10, 20),
            "use_linear_projection": True,
            "block_out_channels": (320, 640, 1280),
            "down_block_types": ("DownBlock2D", _DOWN, _DOWN),
            "up_block_types": (_UP, _UP, "UpBlock2D"),
            "transformer_layers_per_block": (1, 2, 10),
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
        text=None,
    ),
}
"""Stable Diffusion 1.5 and 2.1 whole, and the UNet of Stable Diffusion XL."""


def empty_unet(name: str) -> UNet2DConditionModel:
    """The UNet of an architecture on the meta device."""
    with init_empty_weights():
        return UNet2DConditionModel(**ARCHITECTURES[name].unet)


def random_tensor(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Gaussian weights of variance 1 / fan-in; ones and zeros for norms and biases."""
    if name.endswith("bias"):
        return torch.zeros(shape)
    if len(shape) < 2:
        return torch.ones(shape)
    return torch.randn(shape, generator=generator).div_(math.sqrt(math.prod(shape[1:])))


def write_model(name: str, directory: Path, *, seed: int = 0) -> None:
    """Write an architecture in float32 as a diffusers directory.

    Args:
        name: A key of `ARCHITECTURES`.
        directory: Where to; an SDXL gets its `unet` directory only.
        seed: Of the weights.
    """
    architecture = ARCHITECTURES[name]
    generator = torch.Generator().manual_seed(seed)
    _write(empty_unet(name), directory / "unet", "diffusion_pytorch_model", generator)
    if architecture.text is None:
        return
    with init_empty_weights():
        vae = AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=[128, 256, 512, 512],
            layers_per_block=2,
            latent_channels=4,
            sample_size=architecture.native_size,
        )
    _write(vae, directory / "vae", "diffusion_pytorch_model", generator)
    tokenizer = CLIPTokenizer.from_pretrained(bundled_models()["emoji-64"] / "tokenizer")
    tokenizer.model_max_length = _MAX_TOKENS
    tokenizer.save_pretrained(directory / "tokenizer")
    config = CLIPTextConfig(
        **architecture.text,
        vocab_size=_VOCABULARY,
        max_position_embeddings=_MAX_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with init_empty_weights():
        text_encoder = CLIPTextModel(config)
    _write(text_encoder, directory / "text_encoder", "model", generator)
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=architecture.prediction_type,
    ).save_pretrained(directory / "scheduler")
    _write_index(directory)


def _write(model: nn.Module, directory: Path, stem: str, generator: torch.Generator) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    names = {name for name, _ in model.named_parameters()}
    # As in published files, which other programs read; transformers knows both names.
    prefix = "text_model." if isinstance(model, CLIPTextModel) else ""
    tensors = {
        prefix + key: random_tensor(key, tuple(tensor.shape), generator)
        for key, tensor in model.state_dict().items()
        if key in names
    }
    save_file(tensors, directory / f"{stem}.safetensors", metadata={"format": "pt"})
    if isinstance(model, CLIPTextModel):
        model.config.architectures = ["CLIPTextModel"]
        model.config.save_pretrained(directory)
    else:
        model.save_config(directory)


def _write_index(directory: Path) -> None:
    index = {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (directory / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(ARCHITECTURES))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write_model(arguments.name, arguments.directory, seed=arguments.seed)

"""A diffusion model a few layers small, in diffusers' own classes, and its directory."""

from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

__all__ = ["break_weight", "save_tiny_pipeline", "tiny_pipeline"]


def tiny_pipeline(seed: int = 0) -> StableDiffusionPipeline:
    """Random weights, a few layers, native size 64 x 64 pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _build()


def _build() -> StableDiffusionPipeline:
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    start, end = "<|startoftext|>", "<|endoftext|>"
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), start, end]
    tokenizer = CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=[],
        unk_token=end,
        bos_token=start,
        eos_token=end,
        pad_token=end,
        model_max_length=16,
    )
    text_config = CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=32,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    vae = AutoencoderTiny(
        encoder_block_out_channels=(16,) * 4,
        decoder_block_out_channels=(16,) * 4,
        num_encoder_blocks=(1,) * 4,
        num_decoder_blocks=(1,) * 4,
    )
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text_config),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save_tiny_pipeline(directory: Path, seed: int = 0) -> Path:
    """Write it as diffusers does, in safetensors."""
    tiny_pipeline(seed).save_pretrained(directory, safe_serialization=True)
    return directory


def break_weight(directory: Path, number: float = float("nan")) -> str:
    """Put a number into one weight of the UNet; answers the tensor's name."""
    path = directory / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    name = "mid_block.resnets.0.conv1.weight"
    tensors[name].view(-1)[0] = number
    save_file(tensors, path, metadata={"format": "pt"})
    return name

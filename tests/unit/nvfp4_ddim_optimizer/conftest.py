"""Tiny diffusion models in diffusers' own classes, for every test of the library.

`tiny_pipeline(kind)` builds one in memory, `tiny_directory(kind)` saves it once a session. Kinds:

    sd1   Stable Diffusion 1.x: AutoencoderKL, epsilon, PNDM config as published
    sd2   Stable Diffusion 2.x: linear projections, v-prediction, heads by width
    taesd AutoencoderTiny, v-prediction, zero terminal SNR (the bundled model's shape)
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

KINDS = ("sd1", "sd2", "taesd")
_WIDTH = 32
_TOKENS = 16
_START, _END = "<|startoftext|>", "<|endoftext|>"
_BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def _tokenizer() -> CLIPTokenizer:
    """Every letter is a token of its own, so a prompt's length is its number of letters."""
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), _START, _END]
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=[],
        unk_token=_END,
        bos_token=_START,
        eos_token=_END,
        pad_token=_END,
        model_max_length=_TOKENS,
    )


def _text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=_WIDTH,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _unet(kind: str) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(32, 64),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=_WIDTH,
        attention_head_dim=(2, 4) if kind == "sd2" else 4,
        use_linear_projection=kind == "sd2",
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )


def _vae(kind: str) -> AutoencoderKL | AutoencoderTiny:
    if kind == "taesd":
        return AutoencoderTiny(
            latent_channels=4,
            encoder_block_out_channels=(16, 16),
            decoder_block_out_channels=(16, 16),
            num_encoder_blocks=(1, 1),
            num_decoder_blocks=(1, 1),
        )
    return AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=16,
        scaling_factor=0.18215,
    )


def _scheduler(kind: str) -> DDIMScheduler | PNDMScheduler:
    if kind == "sd1":
        published = {**_BETAS, "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
        return PNDMScheduler.from_config({**published, "skip_prk_steps": True})
    return DDIMScheduler(
        **_BETAS,
        clip_sample=False,
        steps_offset=1,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=kind == "taesd",
        timestep_spacing="trailing" if kind == "taesd" else "leading",
    )


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where this session caches, rather than in the user's own directory."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def tiny_pipeline() -> Callable[..., Any]:
    """Build a tiny pipeline: `tiny_pipeline("sd1", seed=0)`. Native size 16 x 16 pixels."""

    def build(kind: str, seed: int = 0) -> StableDiffusionPipeline:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            tokenizer = _tokenizer()
            pipeline = StableDiffusionPipeline(
                vae=_vae(kind),
                text_encoder=_text_encoder(tokenizer),
                tokenizer=tokenizer,
                unet=_unet(kind),
                scheduler=_scheduler(kind),
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
            )
        for name in ("vae", "text_encoder", "unet"):
            getattr(pipeline, name).eval()
        return pipeline

    return build


@pytest.fixture(scope="session")
def tiny_directory(
    tmp_path_factory: pytest.TempPathFactory, tiny_pipeline: Callable[..., Any]
) -> Callable[[str], Path]:
    """A tiny pipeline's diffusers directory: `tiny_directory("sd1")`. Read only."""
    saved: dict[str, Path] = {}

    def directory(kind: str) -> Path:
        if kind not in saved:
            saved[kind] = tmp_path_factory.mktemp("diffusers") / kind
            tiny_pipeline(kind).save_pretrained(saved[kind], safe_serialization=True)
        return saved[kind]

    return directory

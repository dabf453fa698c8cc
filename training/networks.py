"""The two networks: a small UNet and a small CLIP text encoder, and the noise schedule."""

from diffusers import DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.autoencoder import LATENT_CHANNELS
from training.tokenizer import MAX_TOKENS

__all__ = [
    "LATENT_SIZE",
    "LAYOUT_TOKENS",
    "TEXT_WIDTH",
    "build_scheduler",
    "build_text_encoder",
    "build_unet",
]

LATENT_SIZE = 8
TEXT_WIDTH = 192
# The last positions, padding in all but very long prompts: each lays out one 2x2 patch of latents.
LAYOUT_TOKENS = 16


def build_unet() -> UNet2DConditionModel:
    """UNet over 8x8 and 4x4 latents with cross-attention to the text."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(96, 192),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=(3, 6),
        cross_attention_dim=TEXT_WIDTH,
        norm_num_groups=16,
    )


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Three transformer layers over the project's own vocabulary, from random weights."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        projection_dim=TEXT_WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def build_scheduler() -> DDIMScheduler:
    """1000 steps, v-prediction, zero terminal SNR, so that sampling starts from pure noise."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
    )

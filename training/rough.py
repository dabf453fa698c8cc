"""Latents with the diffusion model's own errors, for fine-tuning the decoder.

Each drawing's latents are noised to a middle timestep and sampled back from there with DDIM and
the drawing's label. What comes out shows the same drawing, but as the model would paint it: a
decoder that learns to map it to the drawing forgives such errors.
"""

from itertools import pairwise
from pathlib import Path
from typing import Annotated

import torch
import typer
from diffusers import AutoencoderTiny
from torch import Tensor, nn
from transformers import CLIPTokenizer

from training.autoencoder import encode_all
from training.captions import load_entries
from training.common import load_images
from training.diffusion import load_text_encoder, predict
from training.networks import build_scheduler, build_unet
from training.tokenizer import tokenize

__all__ = ["resample"]

app = typer.Typer(help=__doc__)


@torch.no_grad()
def resample(
    unet: nn.Module, latents: Tensor, text: Tensor, start: int, generator: torch.Generator
) -> Tensor:
    """Noise latents [B, C, h, w] to timestep `start`, then back by DDIM with text [B, L, D]."""
    alphas = build_scheduler().alphas_cumprod
    times = [start, 2 * start // 3, start // 3, -1]
    noise = torch.randn(latents.shape, generator=generator)
    x: Tensor = alphas[start].sqrt() * latents + (1 - alphas[start]).sqrt() * noise
    for now, then in pairwise(times):
        alpha, later = alphas[now], alphas[then] if then >= 0 else torch.tensor(1.0)
        v = predict(unet, x, torch.full((len(x),), now), text)
        clean = alpha.sqrt() * x - (1 - alpha).sqrt() * v
        epsilon = alpha.sqrt() * v + (1 - alpha).sqrt() * x
        x = later.sqrt() * clean + (1 - later).sqrt() * epsilon
    return x


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="npz of images")] = Path("training/data/emoji_64.npz"),
    vae: Annotated[Path, typer.Option()] = Path("training/runs/autoencoder/final"),
    tokenizer: Annotated[Path, typer.Option()] = Path("training/runs/tokenizer"),
    text: Annotated[Path, typer.Option()] = Path("training/runs/text/text_encoder.pt"),
    checkpoint: Annotated[Path, typer.Option()] = Path("training/runs/diffusion/checkpoint.pt"),
    output: Annotated[Path, typer.Option(help="file")] = Path("training/runs/rough.pt"),
    start: Annotated[list[int] | None, typer.Option(help="timesteps to begin from")] = None,
    seed: int = 0,
) -> None:
    """Write rough latents [K, N, C, h, w], one set for each starting timestep."""
    words = CLIPTokenizer.from_pretrained(tokenizer)
    unet = build_unet().eval()
    unet.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    latents = encode_all(AutoencoderTiny.from_pretrained(vae), load_images(data))
    tokens = tokenize(words, [entry.phrases[0] for entry in load_entries(data)])
    encoder = load_text_encoder(text, words)
    with torch.no_grad():
        states = torch.cat([encoder(part).last_hidden_state for part in torch.split(tokens, 100)])
    generator, sets = torch.Generator().manual_seed(seed), []
    for timestep in start or [350, 550]:
        parts = zip(torch.split(latents, 100), torch.split(states, 100), strict=True)
        found = torch.cat([resample(unet, z, t, timestep, generator) for z, t in parts])
        error = float((found - latents).square().mean())
        typer.echo(f"from timestep {timestep}: squared error {error:.3f}")
        sets.append(found)
    torch.save(torch.stack(sets), output)


if __name__ == "__main__":
    app()

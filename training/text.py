"""Train the text encoder: from a caption, name the drawing and lay out its latents.

Learning what words look like through the diffusion loss alone is slow: at most timesteps the noisy
latents tell more than the text. Here the state of the end token must tell through a linear head
which drawing is meant, and the states of the last `LAYOUT_TOKENS` positions, which are padding in
all but very long prompts, must each tell through one shared linear head what a 2x2 patch of its
latents is. The heads are thrown away; the UNet attends to the states.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from diffusers import AutoencoderTiny
from torch import Tensor, nn
from transformers import CLIPTokenizer

from training.autoencoder import encode_all
from training.captions import Captioner, load_entries, sampling_weights
from training.common import WallClock, cosine_rate, load_images, log_line
from training.networks import LAYOUT_TOKENS, TEXT_WIDTH, build_text_encoder
from training.tokenizer import tokenize
from training.workers import run_workers, share_gradients

__all__ = ["TextStart", "patches"]

app = typer.Typer(help=__doc__)


class TextStart(nn.Module):
    """Text encoder with a classifier over drawings and a linear guess of the latents."""

    def __init__(self, tokenizer: CLIPTokenizer, drawings: int, patch_size: int) -> None:
        super().__init__()
        self.text_encoder = build_text_encoder(tokenizer)
        self.end_token = tokenizer.eos_token_id
        self.classifier = nn.Linear(TEXT_WIDTH, drawings)
        self.guess = nn.Linear(TEXT_WIDTH, patch_size)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, drawings] and guessed patches [B, 16, patch_size] from tokens [B, L]."""
        states = self.text_encoder(tokens).last_hidden_state
        first_end = (tokens == self.end_token).int().argmax(dim=1)
        named = self.classifier(states[torch.arange(len(states)), first_end])
        return named, self.guess(states[:, -LAYOUT_TOKENS:])


def patches(latents: Tensor) -> Tensor:
    """Latents [N, C, 8, 8] as [N, 16, 4C]: 2x2 patches, row by row."""
    return F.pixel_unshuffle(latents, 2).flatten(2).transpose(1, 2).contiguous()


@dataclass(frozen=True)
class Options:
    """What a worker needs to know."""

    until: str
    data: Path
    vae: Path
    tokenizer: Path
    run: Path
    batch: int
    peak_rate: float
    seed: int


def _work(rank: int, options: Options) -> None:
    """Train until the deadline; rank 0 logs and saves the text encoder's weights."""
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(100 * options.seed + rank)
    rng = random.Random(100 * options.seed + rank)
    tokenizer = CLIPTokenizer.from_pretrained(options.tokenizer)
    vae = AutoencoderTiny.from_pretrained(options.vae)
    latents = patches(encode_all(vae, load_images(options.data)))
    entries = load_entries(options.data)
    captioner, weights = Captioner(entries), torch.from_numpy(sampling_weights(entries))
    model = TextStart(tokenizer, len(entries), latents.shape[2])
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        parameters, lr=options.peak_rate, betas=(0.9, 0.99), weight_decay=1e-2, fused=True
    )
    clock, step, progress, smooth = WallClock(options.until), 0, 0.0, [0.0, 0.0, 0.0]
    while progress < 1:
        index = torch.multinomial(weights, options.batch, generator=generator)
        tokens = tokenize(tokenizer, [captioner.sample(i, rng) for i in index.tolist()])
        logits, guess = model(tokens)
        name_loss = F.cross_entropy(logits, index)
        guess_loss = F.mse_loss(guess, latents[index])
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(name_loss + 10 * guess_loss)
        progress = share_gradients(parameters, clock.progress())
        nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = options.peak_rate * cosine_rate(progress, step, warmup_steps=50)
        optimizer.step()
        step += 1
        hits = float((logits.argmax(dim=1) == index).double().mean())
        values = (float(name_loss.detach()), float(guess_loss.detach()), hits)
        smooth = [0.95 * s + 0.05 * v for s, v in zip(smooth, values, strict=True)]
        if rank == 0 and step % 50 == 0:
            text = "name loss {:.3f} latent error {:.3f} named right {:.3f}".format(*smooth)
            log_line(options.run / "log.txt", f"step {step} {text} done {progress:.3f}")
    if rank == 0:
        torch.save(model.text_encoder.state_dict(), options.run / "text_encoder.pt")


@app.command()
def main(
    until: Annotated[str, typer.Option(help="deadline, HH:MM UTC or minutes as in 18m")],
    data: Annotated[Path, typer.Option(help="npz of images")] = Path("training/data/emoji_64.npz"),
    vae: Annotated[Path, typer.Option()] = Path("training/runs/autoencoder/final"),
    tokenizer: Annotated[Path, typer.Option()] = Path("training/runs/tokenizer"),
    run: Annotated[Path, typer.Option(help="output folder")] = Path("training/runs/text"),
    batch: Annotated[int, typer.Option(help="captions a step for each worker")] = 32,
    peak_rate: float = 1.5e-3,
    seed: int = 0,
    workers: int = 2,
    port: int = 29532,
) -> None:
    """Train until the deadline."""
    run.mkdir(parents=True, exist_ok=True)
    options = Options(until, data, vae, tokenizer, run, batch, peak_rate, seed)
    run_workers(_work, options, workers, port)


if __name__ == "__main__":
    app()

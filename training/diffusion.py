"""Train the UNet on cached latents and the states of the trained, frozen text encoder.

v-prediction (Salimans & Ho 2022, eq. for v in app. D) with the SNR weight of Hang et al. 2023 in
its v form, 10 % empty captions for classifier-free guidance, an exponential average of the weights,
and a learning rate that follows the wall clock, so that it has always annealed at the deadline.
"""

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from diffusers import AutoencoderTiny, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.autoencoder import encode_all
from training.captions import Captioner, load_entries, sampling_weights
from training.common import WallClock, cosine_rate, load_images, log_line, save_grid
from training.networks import build_scheduler, build_text_encoder, build_unet
from training.tokenizer import tokenize
from training.workers import run_workers, share_gradients

__all__ = ["load_text_encoder", "predict", "sample_latents"]

app = typer.Typer(help=__doc__)

SHOWN_PROMPTS = (
    "red heart",
    "a slice of watermelon",
    "a cat",
    "dog face",
    "pizza",
    "rocket",
    "snowman",
    "a smiling face with sunglasses",
    "red car",
    "tree",
    "a cup of coffee",
    "birthday cake",
    "fish",
    "guitar",
    "flag of japan",
    "a house",
)


def load_text_encoder(path: Path, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """The text encoder that `training.text` wrote, frozen."""
    encoder = build_text_encoder(tokenizer)
    encoder.load_state_dict(torch.load(path, weights_only=True))
    return encoder.requires_grad_(False).eval()  # type: ignore[no-any-return]


def predict(unet: nn.Module, noisy: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
    """v prediction [B, C, h, w] from noisy [B, C, h, w], timesteps [B], text states [B, L, D]."""
    return unet(noisy, timesteps, text, return_dict=False)[0]  # type: ignore[no-any-return]


@torch.no_grad()
def sample_latents(
    unet: UNet2DConditionModel,
    text: Tensor,
    empty: Tensor,
    *,
    steps: int,
    guidance: float,
    seed: int,
) -> Tensor:
    """DDIM with classifier-free guidance. text: [B, L, D]; empty: [1, L, D]; [B, C, 8, 8] out."""
    scheduler = build_scheduler()
    scheduler.set_timesteps(steps)
    config = unet.config
    shape = (len(text), config.in_channels, config.sample_size, config.sample_size)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    both = torch.cat([empty.expand(len(text), -1, -1), text])
    for timestep in scheduler.timesteps:
        v = predict(unet, torch.cat([x, x]), timestep.expand(len(both)), both)
        unguided, guided = v.chunk(2)
        v = unguided + guidance * (guided - unguided)
        x = scheduler.step(v, timestep, x, return_dict=False)[0]
    return x


class Trainer:
    """State of a run: model, average, optimizer; saved every few minutes and resumable."""

    def __init__(self, options: "Options") -> None:
        torch.manual_seed(options.seed)
        self.run, self.peak_rate = options.run, options.peak_rate
        self.random, self.generator = random.Random(), torch.Generator()
        self.tokenizer = CLIPTokenizer.from_pretrained(options.tokenizer)
        self.text_encoder = load_text_encoder(options.text, self.tokenizer)
        self.vae = AutoencoderTiny.from_pretrained(options.vae).eval()
        self.latents = encode_all(self.vae, load_images(options.data))
        entries = load_entries(options.data)
        self.captioner = Captioner(entries)
        self.weights = torch.from_numpy(sampling_weights(entries))
        self.model, self.average = build_unet(), build_unet()
        self.average.load_state_dict(self.model.state_dict())
        self.average.requires_grad_(False).eval()
        self.optimizer = torch.optim.AdamW(
            self._groups(), lr=self.peak_rate, betas=(0.9, 0.99), fused=True
        )
        self.alphas = build_scheduler().alphas_cumprod
        self.step, self.elapsed = 0, 0.0

    def _groups(self) -> list[dict[str, Any]]:
        """Weight decay on matrices only."""
        parameters = list(self.model.parameters())
        return [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 1e-2},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]

    @torch.no_grad()
    def encode(self, texts: list[str]) -> Tensor:
        """Text states [B, L, D]."""
        states: Tensor = self.text_encoder(tokenize(self.tokenizer, texts)).last_hidden_state
        return states

    def batch(self, size: int, drop: float) -> tuple[Tensor, Tensor]:
        """Latents [B, C, h, w] and text states [B, L, D] of `size` drawings, newly captioned."""
        index = torch.multinomial(self.weights, size, replacement=False, generator=self.generator)
        texts = [
            "" if self.random.random() < drop else self.captioner.sample(i, self.random)
            for i in index.tolist()
        ]
        return self.latents[index], self.encode(texts)

    def loss(self, latents: Tensor, text: Tensor) -> Tensor:
        """Weighted squared error of v at stratified random timesteps."""
        count = len(latents)
        strata = torch.arange(count) + torch.rand(count, generator=self.generator)
        timesteps = (strata / count * 1000).long().clamp_max(999)
        alpha_bar = self.alphas[timesteps].view(-1, 1, 1, 1)
        noise = torch.randn(latents.shape, generator=self.generator)
        noisy = alpha_bar.sqrt() * latents + (1 - alpha_bar).sqrt() * noise
        target = alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * latents
        v = predict(self.model, noisy, timesteps, text)
        error = (v - target).square().mean(dim=(1, 2, 3))
        snr = alpha_bar.flatten() / (1 - alpha_bar.flatten()).clamp_min(1e-6)
        weight = (snr.clamp_max(5) + 1) / (snr + 1)
        mean: Tensor = (weight * error).mean()
        return mean

    def update(self, loss: Tensor, progress: float) -> float:
        """One optimizer step and one step of the average; returns the workers' mean progress."""
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        progress = share_gradients(self.model.parameters(), progress)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.peak_rate * cosine_rate(progress, self.step, warmup_steps=100)
        self.optimizer.step()
        self.step += 1
        decay = min(0.998, (1 + self.step) / (10 + self.step))
        pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
        averaged, current = zip(*pairs, strict=True)
        torch._foreach_lerp_(list(averaged), [p.detach() for p in current], 1 - decay)
        return progress

    def save(self, elapsed: float) -> None:
        """Write the resumable checkpoint; a broken write leaves the last one whole."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed": elapsed,
        }
        partial = self.run / "checkpoint.pt.partial"
        torch.save(state, partial)
        partial.replace(self.run / "checkpoint.pt")

    def resume(self) -> None:
        """Go on from the checkpoint in the run folder."""
        state = torch.load(self.run / "checkpoint.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed = state["step"], state["elapsed"]

    def begin_from(self, unet: Path) -> None:
        """Start from a diffusers UNet, as far as its shapes fit."""
        weights = UNet2DConditionModel.from_pretrained(unet).state_dict()
        for part in (self.model, self.average):
            own = part.state_dict()
            fitting = {k: v for k, v in weights.items() if own[k].shape == v.shape}
            part.load_state_dict(own | fitting)

    def reseed(self, seed: int) -> None:
        """Restart the streams of drawings, captions and noise."""
        self.random.seed(seed)
        self.generator.manual_seed(seed)

    @torch.no_grad()
    def show(self) -> None:
        """Write a grid of 16 prompts, 12 DDIM steps at guidance 3, from the averaged weights."""
        text, empty = self.encode(list(SHOWN_PROMPTS)), self.encode([""])
        latents = sample_latents(self.average, text, empty, steps=12, guidance=3.0, seed=0)
        save_grid(self.vae.decoder(latents), 8, self.run / f"grid-{self.step:06d}.png")


@dataclass(frozen=True)
class Options:
    """What a worker needs to know."""

    until: str
    data: Path
    vae: Path
    tokenizer: Path
    text: Path
    run: Path
    batch: int
    peak_rate: float
    drop: float
    seed: int
    resume: bool
    workers: int
    unet: Path | None


def _work(rank: int, options: Options) -> None:
    """One worker: train until the deadline; rank 0 logs, checkpoints and draws the grids."""
    trainer, clock = Trainer(options), WallClock(options.until)
    if options.unet is not None:
        trainer.begin_from(options.unet)
    if options.resume:
        trainer.resume()
        clock.start -= trainer.elapsed
    trainer.reseed(1000 * trainer.step + 100 * options.seed + rank)
    _train(trainer, clock, options, first=rank == 0)


def _train(trainer: Trainer, clock: WallClock, options: Options, *, first: bool) -> None:
    """The loop; `first` marks the worker that writes files."""
    log = options.run / "log.txt"
    if first:
        log_line(log, f"parameters {sum(p.numel() for p in trainer.model.parameters())}")
    began, start, saved, shown, smooth = time.time(), trainer.step, time.time(), 0, 0.0
    progress = clock.progress()
    while progress < 1:
        loss = trainer.loss(*trainer.batch(options.batch // options.workers, options.drop))
        progress = trainer.update(loss, clock.progress())
        smooth = 0.99 * smooth + 0.01 * float(loss.detach()) if smooth else float(loss.detach())
        if first and trainer.step % 50 == 0:
            speed = (trainer.step - start) * options.batch / (time.time() - began)
            text = f"step {trainer.step} loss {smooth:.4f} {speed:.1f} images/s"
            log_line(log, f"{text} done {progress:.3f}")
        if first and time.time() - saved > 300:
            saved, shown = time.time(), shown + 1
            trainer.save(time.time() - clock.start)
            if shown % 2 == 0:
                trainer.show()
    if first:
        trainer.save(time.time() - clock.start)
        trainer.show()


@app.command()
def main(
    until: Annotated[str, typer.Option(help="deadline, HH:MM UTC or minutes as in 95m")],
    data: Annotated[Path, typer.Option(help="npz of images")] = Path("training/data/emoji_64.npz"),
    vae: Annotated[Path, typer.Option()] = Path("training/runs/autoencoder/final"),
    tokenizer: Annotated[Path, typer.Option()] = Path("training/runs/tokenizer"),
    run: Annotated[Path, typer.Option(help="output folder")] = Path("training/runs/diffusion"),
    batch: Annotated[int, typer.Option(help="drawings a step, all workers together")] = 48,
    peak_rate: float = 8e-4,
    drop: Annotated[float, typer.Option(help="share of empty captions")] = 0.1,
    seed: int = 0,
    resume: Annotated[bool, typer.Option(help="go on from the run's checkpoint")] = False,
    workers: Annotated[int, typer.Option(help="processes that share the cores")] = 2,
    port: Annotated[int, typer.Option(help="local port the workers meet at")] = 29531,
    text: Annotated[Path, typer.Option(help="text encoder from training.text")] = Path(
        "training/runs/text/text_encoder.pt"
    ),
    unet: Annotated[Path | None, typer.Option(help="diffusers UNet to begin with")] = None,
) -> None:
    """Train until the deadline; checkpoint every 5 minutes, sample grid every 10."""
    run.mkdir(parents=True, exist_ok=True)
    options = Options(
        until, data, vae, tokenizer, text, run, batch, peak_rate, drop, seed, resume, workers, unet
    )
    run_workers(_work, options, workers, port)


if __name__ == "__main__":
    app()

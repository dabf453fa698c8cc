"""Train the autoencoder: 64x64 RGB drawings to 8x8 latents of about unit variance.

`train` fits encoder and decoder together, whitens the latents and freezes the encoder;
`finetune` goes on with the decoder alone, on latents with a little noise in them, so that it
stays sharp on the imperfect latents a diffusion model samples.
"""

import time
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from diffusers import AutoencoderTiny
from torch import Tensor, nn

from training.common import WallClock, cosine_rate, load_images, log_line, save_grid

__all__ = ["build_autoencoder", "fold_whitening", "psnr"]

app = typer.Typer(help=__doc__, no_args_is_help=True)

LATENT_CHANNELS = 8
ENCODER_WIDTH = 32
DECODER_WIDTH = 40


def build_autoencoder() -> AutoencoderTiny:
    """The bundled model's autoencoder: f=8, no residual block at full resolution."""
    return AutoencoderTiny(
        encoder_block_out_channels=(ENCODER_WIDTH,) * 4,
        decoder_block_out_channels=(DECODER_WIDTH,) * 4,
        latent_channels=LATENT_CHANNELS,
        num_encoder_blocks=(0, 1, 2, 3),
        num_decoder_blocks=(4, 3, 1, 0),
        act_fn="relu",
    )


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of images in [-1, 1], over the whole batch."""
    return float(10 * torch.log10(4 / F.mse_loss(a.clamp(-1, 1), b.clamp(-1, 1))))


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 and squared error of the pixels, and L1 of their differences along both axes.

    Args:
        output: [B, 3, H, W] float32, about [-1, 1].
        target: [B, 3, H, W] float32 in [-1, 1].
    """
    error = output - target
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + error.square().mean() + 0.5 * edges


def latent_penalty(latents: Tensor) -> Tensor:
    """Pull each channel towards mean 0 and variance 1. latents: [B, C, h, w] float32."""
    mean = latents.mean(dim=(0, 2, 3))
    variance = latents.var(dim=(0, 2, 3))
    return (mean.square() + (variance.clamp_min(1e-6).log()).square()).mean()


@torch.no_grad()
def encode_all(vae: AutoencoderTiny, images: Tensor) -> Tensor:
    """Latents [N, C, h, w] float32 of images [N, 3, H, W] uint8."""
    batches = [vae.encoder(_to_model(batch)) for batch in torch.split(images, 128)]
    return torch.cat(batches)


@torch.no_grad()
def fold_whitening(vae: AutoencoderTiny, latents: Tensor) -> None:
    """Fold per-channel whitening into the last encoder and the first decoder convolution.

    Args:
        vae: changed in place; its latents then have mean 0 and deviation 1 per channel.
        latents: [N, C, h, w] float32, what the encoder gives on the training images.
    """
    mean, deviation = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    last, first = vae.encoder.layers[-1], vae.decoder.layers[0]
    if not isinstance(last, nn.Conv2d) or not isinstance(first, nn.Conv2d):
        raise TypeError("the autoencoder's outer layers are not convolutions")
    if last.bias is None or first.bias is None:
        raise TypeError("the autoencoder's outer convolutions have no bias")
    last.weight.div_(deviation[:, None, None, None])
    last.bias.sub_(mean).div_(deviation)
    first.bias.add_((first.weight.sum(dim=(2, 3)) * mean).sum(dim=1))
    first.weight.mul_(deviation[None, :, None, None])


def _to_model(images: Tensor) -> Tensor:
    """uint8 [B, 3, H, W] to float32 in [-1, 1], channels last."""
    floats = images.float().div_(127.5).sub_(1)
    return floats.contiguous(memory_format=torch.channels_last)


def _epochs(count: int, batch: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, generator=generator)[: count - count % batch].view(-1, batch)


def _fit(
    vae: AutoencoderTiny,
    images: Tensor,
    clock: WallClock,
    run: Path,
    *,
    peak_rate: float,
    batch: int,
    noise: float,
    encoder_trains: bool,
    generator: torch.Generator,
    rough: Tensor | None = None,
) -> None:
    """One training loop for both commands; only the decoder moves if `encoder_trains` is false.

    With rough latents [K, N, C, h, w], half of each batch is drawn from them.
    """
    parameters = list(vae.parameters() if encoder_trains else vae.decoder.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=peak_rate, betas=(0.9, 0.99), weight_decay=1e-4)
    frozen = None if encoder_trains else encode_all(vae, images)
    step, shown, started, saved = 0, 0.0, time.time(), time.time()
    while not clock.over():
        for index in _epochs(len(images), batch, generator):
            target = _to_model(images[index])
            latents = vae.encoder(target) if frozen is None else frozen[index]
            if rough is not None:
                half = index[: batch // 2]
                choice = torch.randint(len(rough), half.shape, generator=generator)
                latents = torch.cat([rough[choice, half], latents[batch // 2 :]])
            level = noise * torch.rand(batch, 1, 1, 1, generator=generator)
            noisy = latents + level * torch.randn(latents.shape, generator=generator)
            output = vae.decoder(noisy)
            loss = reconstruction_loss(output, target)
            total = loss + 0.02 * latent_penalty(latents) if encoder_trains else loss
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(total)
            nn.utils.clip_grad_norm_(parameters, 1.0)
            for group in optimizer.param_groups:
                group["lr"] = peak_rate * cosine_rate(clock.progress(), step, warmup_steps=100)
            optimizer.step()
            step += 1
            shown = 0.98 * shown + 0.02 * float(loss.detach()) if shown else float(loss.detach())
            if step % 100 == 0:
                speed = step * batch / (time.time() - started)
                now = f"psnr {psnr(output.detach(), target):.2f} dB {speed:.1f} images/s"
                text = f"step {step} loss {shown:.4f} {now} done {clock.progress():.3f}"
                log_line(run / "log.txt", text)
            if clock.over():
                break
        if time.time() - saved > 240:
            saved = time.time()
            vae.save_pretrained(run / "checkpoint")
            _report(vae, images, run)


@torch.no_grad()
def _report(vae: AutoencoderTiny, images: Tensor, run: Path) -> None:
    """Log the PSNR over all images and write a grid of 16 originals over 16 reconstructions."""
    latents = encode_all(vae, images)
    outputs = torch.cat([vae.decoder(z) for z in torch.split(latents, 128)])
    value = psnr(outputs, _to_model(images))
    shown = torch.arange(16) * (len(images) // 16)
    save_grid(torch.cat([_to_model(images[shown]), outputs[shown]]), 16, run / "grid.png")
    spread = latents.std(dim=(0, 2, 3)).tolist()
    log_line(run / "log.txt", f"all images: psnr {value:.2f} dB, latent std {spread}")


@app.command()
def train(
    until: Annotated[str, typer.Option(help="deadline, HH:MM UTC or minutes as in 20m")],
    data: Annotated[Path, typer.Option(help="npz of images")] = Path("training/data/emoji_64.npz"),
    run: Annotated[Path, typer.Option(help="output folder")] = Path("training/runs/autoencoder"),
    peak_rate: float = 1.5e-3,
    batch: int = 32,
    noise: Annotated[float, typer.Option(help="highest noise put on the latents")] = 0.2,
    seed: int = 0,
) -> None:
    """Train encoder and decoder, then whiten the latents."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    vae = build_autoencoder().to(memory_format=torch.channels_last)
    images = load_images(data)
    _fit(
        vae,
        images,
        WallClock(until),
        run,
        peak_rate=peak_rate,
        batch=batch,
        noise=noise,
        encoder_trains=True,
        generator=generator,
    )
    fold_whitening(vae, encode_all(vae, images))
    _report(vae, images, run)
    vae.save_pretrained(run / "final")


@app.command()
def finetune(
    until: Annotated[str, typer.Option(help="deadline, HH:MM UTC or minutes as in 12m")],
    start: Annotated[Path, typer.Option(help="autoencoder to begin with")] = Path(
        "training/runs/autoencoder/final"
    ),
    data: Annotated[Path, typer.Option(help="npz of images")] = Path("training/data/emoji_64.npz"),
    run: Annotated[Path, typer.Option(help="output folder")] = Path("training/runs/decoder"),
    rough: Annotated[Path | None, typer.Option(help="file from training.rough")] = None,
    peak_rate: float = 7e-4,
    batch: int = 32,
    noise: Annotated[float, typer.Option(help="highest noise put on the latents")] = 0.3,
    seed: int = 1,
) -> None:
    """Train the decoder alone; the encoder and so the latents stay as they are."""
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    vae = AutoencoderTiny.from_pretrained(start).to(memory_format=torch.channels_last)
    _fit(
        vae,
        load_images(data),
        WallClock(until),
        run,
        peak_rate=peak_rate,
        batch=batch,
        noise=noise,
        encoder_trains=False,
        generator=torch.Generator().manual_seed(seed),
        rough=None if rough is None else torch.load(rough, weights_only=True),
    )
    _report(vae, load_images(data), run)
    vae.save_pretrained(run / "final")


if __name__ == "__main__":
    app()

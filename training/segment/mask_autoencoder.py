"""Train the autoencoder of masks, then fix the mean and spread of its latents.

python -m training.segment.mask_autoencoder --data FILE --until 3m
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor
from torch.nn import functional as F

from nvfp4_ddim_optimizer.networks.mask_autoencoder import MaskAutoencoder
from training.common import WallClock, cosine_rate, log_line
from training.segment.data import augment, load_pairs, read_split
from training.segment.networks import build_mask_autoencoder

__all__ = ["RUN"]

app = typer.Typer(help=__doc__)
RUN = Path("training/runs/segment")
LATENT_NOISE = 0.1  # so that the decoder bears what the diffusion model gets a little wrong


def loss(model: MaskAutoencoder, masks: Tensor) -> Tensor:
    """Cross-entropy of the decoded mask; latents are whitened by the batch and made noisy."""
    raw = model.encode(masks)
    std, mean = torch.std_mean(raw, (0, 2, 3), keepdim=True)
    noisy = (raw - mean) / (std + 1e-4) + LATENT_NOISE * torch.randn_like(raw)
    # A little cost on the raw scale, so that it neither grows nor dies away.
    scale = (std - 1).square().mean() + mean.square().mean()
    return F.binary_cross_entropy_with_logits(model.decode(noisy), masks) + 1e-3 * scale


@torch.no_grad()
def whiten(model: MaskAutoencoder, masks: Tensor) -> None:
    """Give each latent channel mean 0 and variance 1 over some masks, in the last convolution."""
    std, mean = torch.std_mean(model.encode(masks), (0, 2, 3))
    last = model.encoder[-1]
    last.weight.div_(std[:, None, None, None])
    last.bias.sub_(mean).div_(std)


@torch.no_grad()
def reconstruction_dice(model: MaskAutoencoder, masks: Tensor) -> float:
    """Mean Dice of decoded against true masks [N, 1, H, W]."""
    decoded = (model(masks) > 0).float()
    both = (decoded * masks).sum((1, 2, 3))
    return float((2 * both / (decoded.sum((1, 2, 3)) + masks.sum((1, 2, 3))).clamp_min(1)).mean())


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="npz with images and masks")],
    until: Annotated[str, typer.Option(help="UTC time as 00:47, or minutes as 3m")] = "3m",
    start: Annotated[Path | None, typer.Option(help="weights to go on from")] = None,
    run: Path = RUN,
    peak_rate: float = 3e-3,
    batch: int = 8,
    seed: int = 0,
) -> None:
    """Train on the masks of the training part of the split alone."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    pairs, split = load_pairs(data), read_split()
    training, validation = pairs.select(split["training"]), pairs.select(split["validation"])
    model = build_mask_autoencoder() if start is None else MaskAutoencoder.from_pretrained(start)
    clock, step = WallClock(until), 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak_rate, weight_decay=1e-3, fused=True)
    while not clock.over():
        index = torch.randint(len(training), (batch,), generator=generator)
        error = loss(model, augment(training.select(index), generator).masks)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(error)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = peak_rate * cosine_rate(clock.progress(), step, warmup_steps=30)
        optimizer.step()
        step += 1
        if step % 100 == 0:
            log_line(run / "mask_autoencoder.log", f"step {step} loss {error.item():.4f}")
    whiten(model, training.masks)
    dice = reconstruction_dice(model, validation.masks)
    log_line(run / "mask_autoencoder.log", f"{step} steps, Dice on validation masks {dice:.4f}")
    model.save_pretrained(run / "mask_autoencoder")


if __name__ == "__main__":
    app()

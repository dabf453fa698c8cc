"""Train the transforms and the entropy model together, for all bit rates at once.

The step of the quantiser is drawn anew for every crop; the loss is the Lagrangian that belongs to
the step: bits + 3.5 SSE / step^2 + 0.7 visible distance / step, at low rates mostly the latter.
"""

import copy
import math
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from nvfp4_ddim_optimizer.networks.codec_transforms import BLOCK, CodecAnalysis, CodecSynthesis
from training.common import WallClock, cosine_rate, log_line, save_grid
from training.compress.data import Crops, photo_paths
from training.compress.entropy import SCALE_FLOOR, EntropyModel
from training.compress.losses import visible_distance

__all__ = [
    "STEP_RANGE",
    "Codec",
    "draw_log_steps",
    "load_codec",
    "start_from_principal_components",
]

app = typer.Typer(help=__doc__)

STEP_RANGE = (48 / 255, 1_600 / 255)
LOW_RATES = (120 / 255, 1_600 / 255)
LOW_RATE_SHARE = 0.75
SQUARED_ERROR_WEIGHT = 3.5
VISIBLE_WEIGHT = 0.7


class Codec(nn.Module):
    """Everything that is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.analysis = CodecAnalysis()
        self.synthesis = CodecSynthesis()
        self.entropy = EntropyModel()

    def forward(self, x: Tensor, log_step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction, bits of the latent [B] and of the hyper-latent [B]."""
        y = self.analysis(x, log_step)
        quantised, bits, hyper_bits = self.entropy(y, log_step)
        return self.synthesis(quantised, log_step), bits, hyper_bits


def load_codec(path: Path) -> Codec:
    """The codec of a checkpoint that `train` wrote, for inference."""
    codec = Codec()
    codec.load_state_dict(torch.load(path, weights_only=True))
    return codec.eval().requires_grad_(False)


@torch.no_grad()
def start_from_principal_components(codec: Codec, crops: Crops) -> None:
    """Set both linear transforms to the principal components of 16x16 blocks."""
    channels = codec.analysis.linear.out_channels
    scatter = torch.zeros(3 * BLOCK**2, 3 * BLOCK**2)
    for _ in range(40):
        x = crops.batch(16)
        blocks = nn.functional.pixel_unshuffle(x, BLOCK).permute(0, 2, 3, 1).reshape(-1, 768)
        scatter += blocks.T @ blocks
    values, vectors = torch.linalg.eigh(scatter / (40 * 16 * (crops.size // BLOCK) ** 2))
    vectors = vectors.flip(1)[:, :channels]
    deviation = values.flip(0)[:channels].clamp_min(1e-9).sqrt()
    codec.entropy.log_deviation.copy_((deviation / SCALE_FLOOR).log2() - 0.5)
    codec.analysis.linear.weight.copy_(vectors.T.reshape(channels, 3, BLOCK, BLOCK))
    codec.synthesis.linear.weight.copy_(vectors[:, :, None, None])
    for last in (codec.analysis.out, codec.synthesis.out):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


def draw_log_steps(count: int, generator: torch.Generator) -> Tensor:
    """Logarithms of steps [count], most of them of low bit rates, where the codec is to be good."""
    chosen, place = torch.rand(2, count, generator=generator)
    low, high = (
        torch.where(chosen < LOW_RATE_SHARE, math.log(few), math.log(any_rate))
        for few, any_rate in zip(LOW_RATES, STEP_RANGE, strict=True)
    )
    return low + (high - low) * place


def lagrangian(
    codec: Codec, x: Tensor, log_step: Tensor
) -> tuple[Tensor, dict[str, float], Tensor]:
    """Loss, what it is made of in bits a pixel, and the reconstruction."""
    output, bits, hyper_bits = codec(x, log_step)
    pixels, step = x.shape[2] * x.shape[3], log_step.exp()
    rate = (bits + hyper_bits) / pixels
    squared = (output - x).square().sum(dim=(1, 2, 3)) / pixels / step.square()
    visible = visible_distance(output, x) / step
    # All terms fall about as the step grows: weighted by it, all bit rates count alike.
    loss = step * (rate + SQUARED_ERROR_WEIGHT * squared + VISIBLE_WEIGHT * visible)
    mse = (output.detach() - x).square().mean()
    return (
        loss.mean(),
        {
            "bpp": float(rate.detach().mean()),
            "hyper": float(hyper_bits.detach().mean()) / pixels,
            "sse": SQUARED_ERROR_WEIGHT * float(squared.detach().mean()),
            "visible": VISIBLE_WEIGHT * float(visible.detach().mean()),
            "psnr": -10 * math.log10(float(mse)),
        },
        output,
    )


@torch.no_grad()
def _validate(codec: Codec, x: Tensor, run: Path, step: int) -> None:
    codec.eval()
    for level in (80, 160, 320, 640, 1_280):
        log_step = torch.full((len(x),), math.log(level / 255))
        _, parts, output = lagrangian(codec, x, log_step)
        text = " ".join(f"{name} {value:.4f}" for name, value in parts.items())
        log_line(run / "log.txt", f"held out, step {level}/255: {text}")
        if level == 320:
            save_grid(2 * torch.cat([x, output])[:, [0, 1, 2]], 8, run / f"grid-{step:06d}.png")
    codec.train()


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="folder of photographs")],
    until: Annotated[str, typer.Option(help="deadline, HH:MM UTC or minutes as in 40m")],
    run: Annotated[Path, typer.Option(help="output folder")] = Path("training/runs/compress"),
    batch: int = 4,
    size: Annotated[int, typer.Option(help="crop, pixels")] = 256,
    peak_rate: float = 1e-3,
    start: Annotated[Path | None, typer.Option(help="checkpoint to begin with")] = None,
    seed: int = 0,
) -> None:
    """Train until the deadline; writes codec.pt (averaged weights) every few minutes."""
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    crops = Crops(photo_paths(data, validation=False), size, seed)
    held_out = Crops(photo_paths(data, validation=True), size, seed).batch(8)
    codec = Codec()
    start_from_principal_components(codec, crops)
    if start is not None:
        codec.load_state_dict(torch.load(start, weights_only=True))
    clock = WallClock(until)
    average = copy.deepcopy(codec).requires_grad_(False)
    linear = [codec.analysis.linear.weight, codec.synthesis.linear.weight]
    contexts = list(codec.entropy.parameters())
    known = {id(p) for p in [*linear, *contexts]}
    others = [p for p in codec.parameters() if id(p) not in known]
    groups = [
        {"params": linear, "share": 0.1},
        {"params": contexts, "share": 2.0},
        {"params": others, "share": 1.0},
    ]
    optimizer = torch.optim.Adam(groups, lr=peak_rate)
    step, began, saved = 0, time.time(), time.time()
    log_line(run / "log.txt", f"parameters {sum(p.numel() for p in codec.parameters())}")
    _validate(average, held_out, run, 0)
    while not clock.over():
        x = crops.batch(batch)
        loss, parts, _ = lagrangian(codec, x, draw_log_steps(batch, generator))
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(codec.parameters(), 1.0)
        for group in optimizer.param_groups:
            rate = cosine_rate(clock.progress(), step, warmup_steps=40)
            group["lr"] = peak_rate * rate * group["share"]
        optimizer.step()
        step += 1
        decay = min(0.995, step / (step + 10))
        with torch.no_grad():
            for kept, new in zip(average.parameters(), codec.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        if step % 20 == 0:
            speed = step * batch / (time.time() - began)
            text = " ".join(f"{name} {value:.3f}" for name, value in parts.items())
            done = f"{speed:.2f} crops/s done {clock.progress():.3f}"
            log_line(run / "log.txt", f"step {step} loss {float(loss.detach()):.4f} {text} {done}")
        if time.time() - saved > 240 or clock.over():
            saved = time.time()
            partial = run / "codec.pt.partial"
            torch.save(average.state_dict(), partial)
            partial.replace(run / "codec.pt")
            _validate(average, held_out, run, step)


if __name__ == "__main__":
    app()

"""Train the diffusion model that adds detail to the base: v-prediction, zero terminal SNR.

What is missing from the base is seen through the principal components of its 8x8 blocks, each
scaled to variance 1, in units of the quantiser's step. At the last timestep the input is pure
noise, so the best prediction there is what is missing on average: a quarter of every batch trains
that.
"""

import copy
import time
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from diffusers import UNet2DModel
from torch import Tensor, nn

from nvfp4_ddim_optimizer.tasks.compress.deblocking import smooth_borders
from nvfp4_ddim_optimizer.tasks.compress.refinement import DETAIL_BLOCK, detail_condition
from training.common import WallClock, cosine_rate, log_line
from training.compress.codec import Codec, draw_log_steps, load_codec
from training.compress.data import Crops, photo_paths
from training.networks import build_scheduler

__all__ = ["DETAIL_CHANNELS", "build_refiner"]

app = typer.Typer(help=__doc__)

DETAIL_CHANNELS = 32
BASE_CHANNELS = 32
CROP = 128


def build_refiner() -> UNet2DModel:
    """A small UNet over blocks of 8x8 pixels."""
    return UNet2DModel(
        sample_size=CROP // DETAIL_BLOCK,
        in_channels=DETAIL_CHANNELS + BASE_CHANNELS + 1,
        out_channels=DETAIL_CHANNELS,
        block_out_channels=(64, 96),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=16,
        add_attention=False,
    )


@torch.no_grad()
def _pairs(codec: Codec, crops: Crops, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Bases [N, 3, H, W] float16, what is missing from them, and logarithms of their steps."""
    generator = torch.Generator().manual_seed(0)
    bases, missing, steps = [], [], []
    for _ in range(count // 8):
        x, log_step = crops.batch(8), draw_log_steps(8, generator)
        shown = zip(codec(x, log_step)[0], log_step.exp().tolist(), strict=True)
        base = torch.stack([smooth_borders(*picture) for picture in shown]).clamp(-0.5, 0.5)
        bases.append(base.half())
        missing.append(((x - base) / log_step.exp().view(-1, 1, 1, 1)).half())
        steps.append(log_step)
    return torch.cat(bases), torch.cat(missing), torch.cat(steps)


def _components(pictures: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Principal components [count, 192] of 8x8 blocks, and their deviations."""
    blocks = F.pixel_unshuffle(pictures[::4].float(), DETAIL_BLOCK)
    flat = blocks.permute(0, 2, 3, 1).reshape(-1, blocks.shape[1])
    values, vectors = torch.linalg.eigh(flat.T @ flat / len(flat))
    deviation = values.flip(0)[:count].clamp_min(1e-8).sqrt()
    return vectors.flip(1)[:, :count].T.contiguous(), deviation


def _project(pictures: Tensor, components: Tensor, deviation: Tensor) -> Tensor:
    blocks = F.pixel_unshuffle(pictures, DETAIL_BLOCK)
    return F.conv2d(blocks, (components / deviation[:, None])[:, :, None, None])


def _cut(generator: torch.Generator, size: int) -> tuple[slice, slice]:
    span = (size - CROP) // DETAIL_BLOCK + 1
    top, left = (torch.randint(span, (2,), generator=generator) * DETAIL_BLOCK).tolist()
    return slice(top, top + CROP), slice(left, left + CROP)


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="folder of photographs")],
    until: Annotated[str, typer.Option(help="deadline, HH:MM UTC or minutes as in 15m")],
    codec: Annotated[Path, typer.Option(help="trained codec")] = Path(
        "training/runs/compress/codec.pt"
    ),
    run: Annotated[Path, typer.Option(help="output folder")] = Path("training/runs/refiner"),
    count: Annotated[int, typer.Option(help="crops to make bases of")] = 1_600,
    batch: int = 16,
    peak_rate: float = 1e-3,
    seed: int = 0,
) -> None:
    """Train until the deadline; writes refiner.pt."""
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    clock = WallClock(until)
    crops = Crops(photo_paths(data, validation=False), 256, seed + 1, page_share=0.0)
    bases, missing, log_steps = _pairs(load_codec(codec), crops, count)
    base_components, _ = _components(bases, BASE_CHANNELS)
    detail_components, deviation = _components(missing, DETAIL_CHANNELS)
    log_line(run / "log.txt", f"bases made; deviations {deviation[[0, 8, 31]].tolist()}")
    importance = (deviation / deviation.mean()).view(1, -1, 1, 1)
    unet, scheduler = build_refiner(), build_scheduler()
    average = copy.deepcopy(unet).requires_grad_(False)
    abar = scheduler.alphas_cumprod
    optimizer = torch.optim.Adam(unet.parameters(), lr=peak_rate)
    step, began, smooth, saved = 0, time.time(), 0.0, time.time()
    while not clock.over():
        rows, columns = _cut(generator, bases.shape[2])
        index = torch.randint(len(bases), (batch,), generator=generator)
        base = bases[index][:, :, rows, columns].float()
        x0 = _project(missing[index][:, :, rows, columns].float(), detail_components, deviation)
        condition = detail_condition(base, base_components, log_steps[index])
        t = torch.randint(len(abar), (batch,), generator=generator)
        t[: batch // 4] = len(abar) - 1
        signal, noise_level = (a.sqrt().view(-1, 1, 1, 1) for a in (abar[t], 1 - abar[t]))
        noise = torch.randn(x0.shape, generator=generator)
        noisy, target = signal * x0 + noise_level * noise, signal * noise - noise_level * x0
        output = unet(torch.cat([noisy, condition], dim=1), t, return_dict=False)[0]
        loss = (importance * (output - target).square()).mean()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = peak_rate * cosine_rate(clock.progress(), step, warmup_steps=50)
        optimizer.step()
        step += 1
        decay = min(0.995, step / (step + 10))
        with torch.no_grad():
            for kept, new in zip(average.parameters(), unet.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        smooth = 0.98 * smooth + 0.02 * float(loss.detach()) if smooth else float(loss.detach())
        if step % 50 == 0:
            speed = step * batch / (time.time() - began)
            text = f"step {step} loss {smooth:.4f} {speed:.1f} crops/s"
            log_line(run / "log.txt", f"{text} done {clock.progress():.3f}")
        if time.time() - saved > 200 or clock.over():
            saved = time.time()
            state = {
                "unet": average.state_dict(),
                "base_components": base_components,
                "detail_components": detail_components,
                "detail_deviation": deviation,
            }
            torch.save(state, run / "refiner.pt.partial")
            (run / "refiner.pt.partial").replace(run / "refiner.pt")


if __name__ == "__main__":
    app()

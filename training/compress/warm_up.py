"""Fit the entropy model alone to the latents of the linear transform, before all is trained.

The latents are computed once, so that a step takes a tenth of the time of a step of the codec.
"""

import math
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from training.common import WallClock, cosine_rate, log_line
from training.compress.codec import (
    Codec,
    draw_log_steps,
    start_from_principal_components,
)
from training.compress.data import Crops, photo_paths

app = typer.Typer(help=__doc__)


@torch.no_grad()
def _latents(codec: Codec, crops: Crops, count: int) -> Tensor:
    """[count, C, h, w] float16, in the picture's units."""
    batches = [codec.analysis.linear(crops.batch(20)).half() for _ in range(count // 20)]
    return torch.cat(batches)


@torch.no_grad()
def _measure(codec: Codec, latents: Tensor, level: float) -> float:
    log_step = torch.full((len(latents),), math.log(level / 255))
    _, bits, hyper_bits = codec.entropy(latents.float() / (level / 255), log_step)
    return float((bits + hyper_bits).mean()) / (256 * latents.shape[2] * latents.shape[3])


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="folder of photographs")],
    until: Annotated[str, typer.Option(help="deadline, HH:MM UTC or minutes as in 8m")],
    run: Annotated[Path, typer.Option(help="output folder")] = Path("training/runs/warm_up"),
    count: Annotated[int, typer.Option(help="latents to compute once")] = 2400,
    batch: int = 16,
    peak_rate: float = 4e-3,
    start: Annotated[Path | None, typer.Option(help="take its entropy model")] = None,
    seed: int = 0,
) -> None:
    """Train until the deadline; writes codec.pt."""
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    crops = Crops(photo_paths(data, validation=False), 256, seed)
    codec = Codec()
    start_from_principal_components(codec, crops)
    if start is not None:
        state = torch.load(start, weights_only=True)
        entropy = {k.removeprefix("entropy."): v for k, v in state.items() if "entropy." in k}
        codec.entropy.load_state_dict(entropy)
    latents = _latents(codec, crops, count)
    held_out = Crops(photo_paths(data, validation=True), 256, seed)
    checked = _latents(codec, held_out, 20)
    clock, began, step, smooth = WallClock(until), time.time(), 0, 0.0
    parameters = list(codec.entropy.parameters())
    optimizer = torch.optim.Adam(parameters, lr=peak_rate, betas=(0.9, 0.99))
    while not clock.over():
        chosen = latents[torch.randint(len(latents), (batch,), generator=generator)].float()
        log_step = draw_log_steps(batch, generator)
        _, bits, hyper = codec.entropy(chosen / log_step.exp().view(-1, 1, 1, 1), log_step)
        loss = ((bits + hyper) * log_step.exp()).mean() / 65536
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, 0.5)
        for group in optimizer.param_groups:
            group["lr"] = peak_rate * cosine_rate(clock.progress(), step, warmup_steps=50)
        optimizer.step()
        step += 1
        smooth = 0.97 * smooth + 0.03 * float(loss.detach()) if smooth else float(loss.detach())
        if step % 50 == 0:
            rates = " ".join(f"{_measure(codec, checked, level):.4f}" for level in (80, 200, 500))
            speed = step * batch / (time.time() - began)
            text = f"step {step} bpp {smooth:.4f} held out {rates} hyper {float(hyper.mean()):.0f}"
            log_line(run / "log.txt", f"{text} {speed:.1f} crops/s done {clock.progress():.3f}")
    torch.save(codec.state_dict(), run / "codec.pt")


if __name__ == "__main__":
    app()

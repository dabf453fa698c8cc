"""Fit what the ensemble lacks on the day that the denoiser's batches left out.

expectation_weight   how much of what the denoiser expects of the residual is believed
member_gains         by how much its members' departures from that are stretched, by wavenumber, so
                     that their power is that of the expectation's error
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from nvfp4_ddim_optimizer.diffusion import DiffusionConfig, StepEvent, sample_ddim
from nvfp4_ddim_optimizer.tasks.interpolate.conditioning import fold, unfold
from nvfp4_ddim_optimizer.tasks.interpolate.stretching import knots, stretch
from training.interpolate.data import FIELDS_PER_DAY, VALIDATION_DAY
from training.interpolate.diffusion import build_unet
from training.networks import build_scheduler

__all__ = ["fit_gains"]


KNOTS = 8
ROUNDS = 12


def fit_gains(departures: Tensor, errors: Tensor, kelvins: Tensor) -> list[float]:
    """Gains that bring departures [M, N, H, W] to the power of errors [N, H, W], in kelvins.

    Gains act before the scale of each place is multiplied in, power is that of the product: hence
    rounds.
    """
    gains = [1.0] * KNOTS
    wanted = _power(errors * kelvins)
    for _ in range(ROUNDS):
        found = _power(stretch(departures, gains) * kelvins)
        gains = [
            min(4.0, max(0.1, gain * (want / have) ** 0.4))
            for gain, want, have in zip(gains, wanted, found, strict=True)
        ]
    return gains


def _power(fields: Tensor) -> list[float]:
    """Power in a band of an octave around each knot."""
    power = torch.fft.rfft(fields, dim=-1).abs().square().flatten(0, -2).mean(0)
    edges = [1, *(max(2, round(k * 2**0.5)) for k in knots(KNOTS))]
    return [float(power[low:high].sum()) for low, high in pairwise(edges)]


def main(
    run: Annotated[Path, typer.Option(help="folder of the runs")] = Path(
        "training/runs/interpolate"
    ),
    checkpoint: Annotated[str, typer.Option(help="best.pt or last.pt")] = "best.pt",
    members: int = 6,
    steps: int = 20,
) -> None:
    """Write calibration.json."""
    prepared = torch.load(run / "prepared.pt", weights_only=True)
    days = prepared["triples"][:, 1] // FIELDS_PER_DAY
    spans = prepared["triples"][:, 2] - prepared["triples"][:, 0]
    chosen = ((days == VALIDATION_DAY) & (spans == 2)).nonzero().flatten()
    given, truth = prepared["conditions"][chosen], prepared["residuals"][chosen]
    unet = build_unet(*prepared["scale"].shape).requires_grad_(False).eval()
    unet.load_state_dict(torch.load(run / checkpoint, weights_only=True))

    firsts: list[Tensor] = []
    config = DiffusionConfig.from_diffusers(build_scheduler())

    def keep(event: StepEvent) -> None:
        if event.step == 1 and event.x0 is not None:
            firsts.append(event.x0[:, 0])

    samples = []
    for member in range(members):
        noise = torch.randn(truth[:, None].shape, generator=torch.Generator().manual_seed(member))
        drawn = sample_ddim(
            lambda x, t: unfold(unet(fold(torch.cat([x, given], 1)), t).sample),
            noise,
            config.schedule(),
            config.uniform_timesteps(steps),
            prediction_type=config.prediction_type,
            on_step=keep,
        )
        samples.append(drawn[:, 0])
    expected, drawn = torch.stack(firsts).mean(0), torch.stack(samples)
    rows = torch.cos(torch.deg2rad(prepared["latitudes"]))[:, None]
    area = rows * prepared["scale"].square()
    weight = float((area * truth * expected).sum() / (area * expected.square()).sum())
    weight = min(1.0, max(0.0, weight))
    error = (area * (truth - weight * expected).square()).mean()
    kelvins = rows.sqrt() * prepared["scale"]
    gains = fit_gains(drawn - expected, truth - weight * expected, kelvins)
    before = (area * truth.square()).mean()
    result = {
        "expectation_weight": round(weight, 4),
        "member_gains": [round(gain, 4) for gain in gains],
        "rmse_ratio": round(float((error / before).sqrt()), 4),
    }
    (run / "calibration.json").write_text(json.dumps(result) + "\n")
    typer.echo(result)


if __name__ == "__main__":
    typer.run(main)

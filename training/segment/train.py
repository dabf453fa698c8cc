"""Train the diffusion model and the supervised U-Net by turns, so that both get the same time.

Whichever has used less processor time makes the next step. Both see the same images with the
same augmentation, and both rates follow the wall clock to 0.

    python -m training.segment.train --data FILE --until 40m
"""

import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from training.common import WallClock, log_line
from training.segment.data import Pairs, augment, load_pairs, read_split, sampling_weights
from training.segment.learners import DiffusionLearner, Learner, SupervisedLearner
from training.segment.mask_autoencoder import RUN
from training.segment.networks import parameter_count

__all__ = ["mean_dice"]

app = typer.Typer(help=__doc__)


def mean_dice(probability: Tensor, masks: Tensor, threshold: float = 0.5) -> float:
    """Dice of each image [N, 1, H, W], averaged."""
    found = (probability > threshold).float()
    both = (found * masks).sum((1, 2, 3))
    sizes = found.sum((1, 2, 3)) + masks.sum((1, 2, 3))
    return float((2 * both / sizes.clamp_min(1)).mean())


def report(learners: list[Learner], validation: Pairs, run: Path) -> None:
    """Log the Dice on the validation images and save the weights."""
    for learner in learners:
        learner.save(run)
        chunks = validation.images.split(11)
        p = torch.cat([learner.predict(chunk) for chunk in chunks])
        log_line(
            run / "train.log",
            f"{learner.name}: step {learner.step}, {learner.cpu_seconds:.0f} s, "
            f"validation Dice {mean_dice(p, validation.masks):.4f}",
        )


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="npz with images and masks")],
    until: Annotated[str, typer.Option(help="UTC time as 00:47, or minutes as 40m")] = "40m",
    run: Path = RUN,
    peak_rate: float = 2e-3,
    batch: int = 4,
    start: Annotated[
        Path | None, typer.Option(help="directory of diffusion.pt and supervised.pt to go on from")
    ] = None,
    report_every: Annotated[float, typer.Option(help="minutes")] = 5.0,
    seed: int = 0,
) -> None:
    """Train both until the deadline."""
    torch.manual_seed(seed)
    pairs, split = load_pairs(data), read_split()
    training, validation = pairs.select(split["training"]), pairs.select(split["validation"])
    learners: list[Learner] = [
        DiffusionLearner(run / "mask_autoencoder", peak_rate, seed),
        SupervisedLearner(peak_rate),
    ]
    if start is not None:
        for learner in learners:
            learner.load(start)
    generators = [torch.Generator().manual_seed(seed) for _ in learners]
    for learner in learners:
        sizes = {name: parameter_count(part) for name, part in learner.model.items()}
        log_line(run / "train.log", f"{learner.name}: {sizes}, together {sum(sizes.values())}")
    weights = sampling_weights(training.images)
    clock, reported = WallClock(until), time.monotonic()
    while not clock.over():
        turn = min(range(len(learners)), key=lambda i: learners[i].cpu_seconds)
        learner, generator, start = learners[turn], generators[turn], time.process_time()
        index = torch.multinomial(weights, batch, generator=generator)
        learner.update(augment(training.select(index), generator), clock.progress())
        learner.cpu_seconds += time.process_time() - start
        if time.monotonic() - reported > 60 * report_every:
            report(learners, validation, run)
            reported = time.monotonic()
    report(learners, validation, run)


if __name__ == "__main__":
    app()

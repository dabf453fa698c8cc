"""Running an analyzer over many photos, and what is kept of it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.progress import track

from nvfp4_ddim_optimizer.tasks.analyze import LeafAnalyzer
from nvfp4_ddim_optimizer.tasks.analyze.leaf import crop_leaf

__all__ = ["FastRun", "ThoroughRun", "fast_run", "thorough_run"]


@dataclass(frozen=True)
class FastRun:
    """Of N photos: class probabilities [N, K], how unlike the training's they are [N]."""

    probabilities: npt.NDArray[np.float64]
    unlike: npt.NDArray[np.float64]


@dataclass(frozen=True)
class ThoroughRun:
    """Of N photos: probabilities of the errors alone, of both, and the severity."""

    from_errors: npt.NDArray[np.float64]
    fused: npt.NDArray[np.float64]
    severity: npt.NDArray[np.float64]


def fast_run(analyzer: LeafAnalyzer, photos: Iterable[Image.Image], label: str) -> FastRun:
    """One pass for each photo."""
    probabilities, unlike = [], []
    for photo in track(list(photos), description=label):
        crop = crop_leaf(photo, analyzer.side)
        scores = analyzer.scores(analyzer.views(crop.image))
        probabilities.append(analyzer.feature_probabilities(scores).double().numpy())
        unlike.append(analyzer.unlike_training(scores, crop))
    return FastRun(np.stack(probabilities), np.array(unlike))


def thorough_run(
    analyzer: LeafAnalyzer, photos: Iterable[Image.Image], steps: int, label: str
) -> ThoroughRun:
    """Prediction errors at `steps` noise levels for each photo; photo k has seed k."""
    rows: list[tuple[torch.Tensor, torch.Tensor, float]] = []
    for seed, photo in enumerate(track(list(photos), description=label)):
        report = analyzer.analyze(photo, num_inference_steps=steps, seed=seed).report
        if report.diffusion_probabilities is None:
            raise RuntimeError("the thorough method gave no probabilities")
        rows.append(
            (
                torch.tensor([v for _, v in report.diffusion_probabilities]),
                torch.tensor([v for _, v in report.probabilities]),
                np.nan if report.severity is None else report.severity,
            )
        )
    return ThoroughRun(
        np.stack([r[0].double().numpy() for r in rows]),
        np.stack([r[1].double().numpy() for r in rows]),
        np.array([r[2] for r in rows]),
    )

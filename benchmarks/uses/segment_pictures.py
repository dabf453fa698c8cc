"""The figures of the segmentation benchmark."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.uses.segment_methods import Images
from nvfp4_ddim_optimizer.tasks.segment.instances import draw_overlay
from nvfp4_ddim_optimizer.tasks.segment.preprocess import normalise_image
from nvfp4_ddim_optimizer.tasks.segment.segmenter import doubt

__all__ = ["draw_examples", "draw_risk_coverage"]

_POINTS = 400
_EXAMPLES, _GAP = 8, 4


def draw_risk_coverage(curves: dict[str, NDArray[np.float64]], path: Path) -> None:
    """Risk of the most certain pixels at every coverage, one line a method."""
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for name, risk in curves.items():
        index = np.linspace(0, len(risk) - 1, _POINTS).astype(int)
        axes.plot((index + 1) / len(risk), risk[index] * 100, label=name, linewidth=1.4)
    axes.set(xlabel="coverage: share of pixels, most certain first", ylabel="wrong pixels, %")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_examples(
    data: Images,
    probability: NDArray[np.float32],
    threshold: float,
    dice: NDArray[np.float64],
    path: Path,
) -> None:
    """Rows of picture, true mask, overlay and uncertainty, from the worst Dice to the best."""
    order = np.argsort(dice)
    chosen = order[np.linspace(0, len(order) - 1, _EXAMPLES).round().astype(int)]
    columns = []
    for index in chosen:
        picture = normalise_image(data.images[index])[:3].transpose(1, 2, 0) / 2 + 0.5
        unsure = doubt(probability[index])
        overlay = np.asarray(draw_overlay(picture, probability[index] > threshold, unsure))
        cells = [
            (picture * 255).astype(np.uint8),
            np.repeat((data.masks[index] * 255).astype(np.uint8)[..., None], 3, 2),
            overlay,
            np.repeat((unsure * 255).astype(np.uint8)[..., None], 3, 2),
        ]
        columns.append(np.concatenate([np.pad(c, ((0, _GAP), (0, _GAP), (0, 0))) for c in cells]))
    Image.fromarray(np.concatenate(columns, axis=1)).save(path, optimize=True)

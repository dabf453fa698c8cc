"""Pictures of the evaluation of leaves."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from benchmarks.uses.classification import calibration_bins
from nvfp4_ddim_optimizer.tasks.analyze import LeafAnalyzer
from nvfp4_ddim_optimizer.tasks.analyze.heat_map import paint_heat, paint_overlay

__all__ = ["heat_sheet", "reliability_plot"]

_CELL, _CAPTION = 128, 30


def heat_sheet(
    analyzer: LeafAnalyzer, photos: list[Image.Image], names: list[str], columns: int, path: Path
) -> None:
    """Each photo with its heat map and overlay, and what the report says of it."""
    rows = -(-len(photos) // columns)
    width, height = 3 * _CELL + 8, _CELL + _CAPTION
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    limit = analyzer.options.heat_limit
    for number, (photo, name) in enumerate(zip(photos, names, strict=True)):
        analysis = analyzer.analyze(photo, num_inference_steps=20, seed=number)
        if analysis.heat is None or analysis.affected is None:
            raise RuntimeError("the thorough method gave no heat map")
        left, top = number % columns * width, number // columns * height
        crop = analysis.crop
        heat = paint_heat(analysis.heat, crop.mask, limit)
        pictures = (crop.image, heat, paint_overlay(crop.image, analysis.affected))
        for place, picture in enumerate(pictures):
            sheet.paste(picture, (left + place * _CELL, top))
        report = analysis.report
        severity = "" if report.severity is None else f", affected {report.severity:.0%}"
        text = f"{name} -> {report.finding} {report.probability:.1%}{severity}"
        pen.text((left + 4, top + _CELL + 6), text, fill="black", font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(256).save(path, optimize=True)


def reliability_plot(
    answers: dict[str, npt.NDArray[np.float64]], labels: npt.NDArray[np.int64], path: Path
) -> None:
    """Accuracy over confidence for several classifiers. answers: name -> [N, K]."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 4.4))
    axes.plot([0.3, 1], [0.3, 1], color="grey", linewidth=1, label="perfect")
    for name, probabilities in answers.items():
        truth = np.tile(labels, len(probabilities) // len(labels))
        points = calibration_bins(probabilities, truth, 10)
        axes.plot([p[0] for p in points], [p[1] for p in points], marker="o", label=name)
    axes.set(xlabel="probability that is stated", ylabel="share that is right")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)

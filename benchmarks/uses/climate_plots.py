"""Pictures of the climate benchmark: spectra, and one case as maps."""

import io
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["plot_maps", "plot_spectra"]

Array = NDArray[np.float64]


def plot_spectra(spectra: dict[str, Array], departures: dict[str, Array], path: Path) -> None:
    """Ratio to the truth's spectrum, of the fields and of what they have beside linear."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8))
    for axis, curves, title in (
        (axes[0], spectra, "field"),
        (axes[1], departures, "departure from linear interpolation"),
    ):
        truth = curves["truth"]
        numbers = np.arange(1, len(truth))
        for name, curve in curves.items():
            if name != "truth":
                axis.plot(numbers, curve[1:] / truth[1:], label=name, linewidth=1.2)
        axis.axhspan(0.95, 1.05, color="0.9")
        axis.axhline(1, color="0.5", linewidth=0.8)
        axis.set(xscale="log", xlabel="zonal wavenumber", ylabel="power / truth's", title=title)
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    _save(figure, path)


def plot_maps(maps: dict[str, tuple[Array, float]], latitudes: Array, path: Path) -> None:
    """Maps [H, W], each on its own symmetric scale, north up."""
    columns = 3
    rows = -(-len(maps) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(11, 2.1 * rows))
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, (field, limit)) in zip(axes.flat, maps.items(), strict=False):
        shown = field if latitudes[0] > latitudes[-1] else field[::-1]
        axis.imshow(shown, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        axis.set_title(f"{title} (±{limit:g} K)", fontsize=8)
    figure.tight_layout()
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110)
    plt.close(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(buffer) as picture:
        picture.convert("RGB").quantize(128).save(path, optimize=True)

"""Fields as pictures, and frames as an animation."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .climate import Array

__all__ = ["animation", "field_pictures"]

# Blue over white to red, as on temperature maps; missing values are grey.
_STOPS = np.array(
    [[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]], dtype=np.float64
)
_MISSING = (128, 128, 128)
_SHORTEST_SIDE = 192


def field_pictures(fields: Array, *, north_up: bool) -> list[Image.Image]:
    """Pictures of fields [F, H, W], all on one scale from the lowest to the highest value.

    Args:
        fields: Any unit; NaN where missing.
        north_up: Whether the first row is the northernmost; otherwise they are turned.
    """
    finite = fields[np.isfinite(fields)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    shares = (np.nan_to_num(fields, nan=low) - low) / max(high - low, 1e-12)
    channels = [np.interp(shares, np.linspace(0, 1, len(_STOPS)), stop) for stop in _STOPS.T]
    colours: NDArray[np.uint8] = np.stack(channels, axis=-1).round().astype(np.uint8)
    colours[~np.isfinite(fields)] = _MISSING
    if not north_up:
        colours = colours[:, ::-1]
    factor = max(1, -(-_SHORTEST_SIDE // min(colours.shape[1:3])))
    size = (colours.shape[2] * factor, colours.shape[1] * factor)
    return [
        Image.fromarray(np.ascontiguousarray(each)).resize(size, Image.Resampling.NEAREST)
        for each in colours
    ]


def animation(pictures: Sequence[Image.Image], milliseconds: int = 250) -> bytes:
    """An endless animated WebP, forth and not back, with the ends shown longer."""
    buffer = io.BytesIO()
    durations = [milliseconds] * len(pictures)
    durations[0] = durations[-1] = 3 * milliseconds
    pictures[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=list(pictures[1:]),
        duration=durations,
        loop=0,
        quality=85,
        method=2,
    )
    return buffer.getvalue()

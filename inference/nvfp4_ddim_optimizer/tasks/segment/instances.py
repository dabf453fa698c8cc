"""From a mask to its pieces, and to a picture that shows them."""

import csv
from dataclasses import dataclass
from io import StringIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from .touching import part_touching

__all__ = ["Instance", "draw_overlay", "find_instances", "instances_csv"]

_EDGE_COLOUR = np.array([255, 210, 0], np.float32)
_DOUBT_COLOUR = np.array([255, 0, 110], np.float32)
_SHOWN_DOUBT = 0.5


@dataclass(frozen=True)
class Instance:
    """One piece of a mask.

    Attributes:
        slice: Which slice it lies in, from 0.
        label: Its number in the slice's label image, from 1.
        area_px: Pixels.
        area_mm2: The same in square millimetres, where spacing is known.
        row: Of its centre, in pixels.
        column: The same across.
        uncertainty: Mean over its pixels, in bits.
    """

    slice: int
    label: int
    area_px: int
    area_mm2: float | None
    row: float
    column: float
    uncertainty: float


def find_instances(
    mask: NDArray[np.bool_],
    uncertainty: NDArray[np.float32],
    *,
    min_area: int,
    slice_index: int = 0,
    pixel_mm2: float | None = None,
) -> tuple[NDArray[np.int32], list[Instance]]:
    """Label the pieces of a mask, those that touch apart; too small ones are dropped.

    Args:
        mask: [H, W].
        uncertainty: [H, W], in bits.
        min_area: Pixels a piece must have.
        slice_index: Is noted in the instances.
        pixel_mm2: Area of a pixel.

    Returns:
        Labels [H, W] int32, 0 outside, and the instances in the labels' order.

    Source: `part_touching`; centres by scipy.ndimage.
    """
    raw = part_touching(mask)
    count = int(raw.max())
    sizes = np.bincount(raw.ravel(), minlength=count + 1)
    kept = np.flatnonzero(sizes >= min_area)
    kept = kept[kept > 0]
    renumbered = np.zeros(count + 1, np.int32)
    renumbered[kept] = np.arange(1, len(kept) + 1)
    labels = renumbered[raw]
    if not len(kept):
        return labels, []
    index = np.arange(1, len(kept) + 1)
    centres = ndimage.center_of_mass(labels > 0, labels, index)
    doubts = ndimage.mean(uncertainty, labels, index)
    instances = [
        Instance(
            slice=slice_index,
            label=int(label),
            area_px=int(area),
            area_mm2=None if pixel_mm2 is None else float(area * pixel_mm2),
            row=round(float(centre[0]), 2),
            column=round(float(centre[1]), 2),
            uncertainty=float(np.clip(doubt, 0, 1)),
        )
        for label, area, centre, doubt in zip(index, sizes[kept], centres, doubts, strict=True)
    ]
    return labels, instances


def draw_overlay(
    picture: NDArray[np.float32], mask: NDArray[np.bool_], uncertainty: NDArray[np.float32]
) -> Image.Image:
    """The picture with the outlines of the mask in yellow and doubtful places in pink.

    Args:
        picture: [H, W, 3] in [0, 1].
        mask: [H, W].
        uncertainty: [H, W], in bits; shown above 0.5.
    """
    canvas = np.clip(picture, 0, 1).astype(np.float32) * 255
    doubt = 0.6 * np.clip((uncertainty - _SHOWN_DOUBT) / (1 - _SHOWN_DOUBT), 0, 1)[..., None]
    canvas = canvas * (1 - doubt) + _DOUBT_COLOUR * doubt
    edge = mask & ~ndimage.binary_erosion(mask, border_value=1)
    canvas[edge] = _EDGE_COLOUR
    return Image.fromarray(canvas.round().astype(np.uint8))


def instances_csv(instances: list[Instance]) -> bytes:
    """All instances as a table with a header, UTF-8."""
    text = StringIO()
    names = list(Instance.__dataclass_fields__)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for each in instances:
        values = (getattr(each, name) for name in names)
        writer.writerow("" if value is None else value for value in values)
    return text.getvalue().encode()

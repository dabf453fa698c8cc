"""Where the leaf is: by colour, without a network."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

__all__ = ["LeafCrop", "crop_leaf", "leaf_mask"]

Mask = npt.NDArray[np.bool_]

# Of the opponent colours below, relative to brightness: grey and bluish backgrounds lie under it.
_COLOUR_THRESHOLD = 0.045
_BLACK = 0.06  # brightest channel, as a share of the photo's bright end: shadows are no leaf
_SEARCH_SIDE = 64
_MARGIN = 0.06
_LEAST_SHARE = 0.02
_EIGHT = np.ones((3, 3), np.bool_)


@dataclass(frozen=True)
class LeafCrop:
    """A square cut out of a photo around its leaf.

    Attributes:
        image: RGB, square, at the model's size.
        mask: [side, side] bool, which pixels are leaf.
        box: (left, top, right, bottom) in pixels of the photo; may reach over its edge.
        share: Leaf pixels as a share of the photo's, in [0, 1]. 0: no leaf was found, and the
            whole photo was taken.
    """

    image: Image.Image
    mask: Mask
    box: tuple[int, int, int, int]
    share: float


def leaf_mask(image: Image.Image) -> Mask:
    """Pixels that are green, yellow or brown rather than grey or blue; holes filled, largest part.

    It is found at 64 pixels along the longer side.

    Args:
        image: RGB.

    Returns:
        [H, W] bool; all False where nothing is coloured like a leaf.
    """
    small = _small(image)
    mask = _small_mask(small)
    if small.size == image.size:
        return mask
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(grey.resize(image.size, Image.Resampling.BILINEAR)) > 127


def _small(image: Image.Image) -> Image.Image:
    factor = min(1.0, _SEARCH_SIDE / max(image.size))
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BOX)


def _small_mask(image: Image.Image) -> Mask:
    rgb = np.asarray(image.convert("RGB"), np.float32) / 255
    total = rgb.sum(axis=2) + 0.05
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    yellow = ((red + green) / 2 - blue) / total
    excess_green = (green - (red + blue) / 2) / total
    bright_end = max(float(np.quantile(rgb.max(axis=2), 0.95)), 1e-3)
    lit = rgb.max(axis=2) > _BLACK * bright_end
    candidates = (np.maximum(yellow, excess_green) > _COLOUR_THRESHOLD) & lit
    return _fill_holes(_largest_part(_open(candidates)))


def crop_leaf(image: Image.Image, side: int) -> LeafCrop:
    """Cut the leaf out with a little margin, square, and bring it to side x side.

    A photo in which the leaf fills most of the frame is taken whole.

    Args:
        image: RGB, upright.
        side: Of the result, in pixels.
    """
    width, height = image.size
    small = _small(image)
    found = _small_mask(small)
    share = float(found.mean())
    if share < _LEAST_SHARE:
        box = _square(0, 0, width, height)
        share = 0.0
    else:
        rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
        scale_x, scale_y = width / small.width, height / small.height
        box = _square(
            columns[0] * scale_x,
            rows[0] * scale_y,
            (columns[-1] + 1) * scale_x,
            (rows[-1] + 1) * scale_y,
            margin=_MARGIN,
        )
        if box[2] - box[0] > 0.8 * max(width, height):
            box = _square(0, 0, width, height)
    crop = _cut(image, box, side)
    mask = leaf_mask(crop) if share > 0 else np.zeros((side, side), np.bool_)
    return LeafCrop(crop, mask, box, share)


def _square(
    left: float, top: float, right: float, bottom: float, *, margin: float = 0.0
) -> tuple[int, int, int, int]:
    half = max(right - left, bottom - top) * (0.5 + margin)
    x, y = (left + right) / 2, (top + bottom) / 2
    side = max(1, round(2 * half))
    x0, y0 = round(x - half), round(y - half)
    return (x0, y0, x0 + side, y0 + side)


def _cut(image: Image.Image, box: tuple[int, int, int, int], side: int) -> Image.Image:
    """Resize a box that may reach over the photo's edge; the edge's pixels go on outside."""
    left, top, right, bottom = box
    width, height = image.size
    inner = (max(0, left), max(0, top), min(width, right), min(height, bottom))
    factor = side / (right - left)
    target = (
        max(1, round((inner[2] - inner[0]) * factor)),
        max(1, round((inner[3] - inner[1]) * factor)),
    )
    piece = image.resize(target, Image.Resampling.LANCZOS, box=inner, reducing_gap=3.0)
    if target == (side, side):
        return piece
    before_x = min(side - 1, max(0, round((inner[0] - left) * factor)))
    before_y = min(side - 1, max(0, round((inner[1] - top) * factor)))
    pixels = np.asarray(piece)[: side - before_y, : side - before_x]
    padded = np.pad(
        pixels,
        (
            (before_y, side - before_y - pixels.shape[0]),
            (before_x, side - before_x - pixels.shape[1]),
            (0, 0),
        ),
        mode="edge",
    )
    return Image.fromarray(padded)


def _open(mask: Mask) -> Mask:
    """Remove specks: erosion, then dilation, by 3x3. The frame's edge wears nothing off."""
    eroded = ndimage.binary_erosion(mask, _EIGHT, border_value=1)
    opened: Mask = ndimage.binary_dilation(eroded, _EIGHT)
    return opened


def _largest_part(mask: Mask) -> Mask:
    """The largest 8-connected part."""
    labels, _ = ndimage.label(mask, _EIGHT)
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    part: Mask = (labels == counts.argmax()) & mask
    return part


def _fill_holes(mask: Mask) -> Mask:
    """Add whatever the outside can't reach over edges of pixels."""
    filled: Mask = ndimage.binary_fill_holes(mask)
    return filled

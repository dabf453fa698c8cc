"""Pages: few colours with sharp edges, coded without loss after the palette is chosen.

A transform blurs small text at low rates. Here a picture becomes a palette and a map of indices,
and the map is coded bit by bit in contexts of its neighbours, as JBIG2 does for two colours. Rows
that repeat the row above cost a fraction of a bit. Where even two colours take too much, the page
is made smaller first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nvfp4_ddim_optimizer.errors import BitstreamError

from .adaptive import BinaryCoder, BinaryDecoder, BinaryEncoder

__all__ = ["COLOURS", "EIGHTHS", "Page", "decode_page", "encode_page", "estimate_bits", "make_page"]

COLOURS = (2, 4, 8, 16)
EIGHTHS = (8, 6, 5, 4)
"""Resolutions, in eighths of the picture's."""

Offset = tuple[int, int]

# Rows up and columns left of the neighbours that a context is made of, nearest first.
_NEIGHBOURS: dict[int, tuple[Offset, ...]] = {
    2: (
        *((0, 1), (0, 2), (0, 3), (0, 4)),
        *((1, 0), (1, 1), (1, -1), (1, 2), (1, -2)),
        *((2, 0), (2, 1), (2, -1), (2, 2), (2, -2)),
    ),
    4: ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0)),
    8: ((0, 1), (1, 0), (1, 1), (1, -1)),
    16: ((0, 1), (1, 0), (1, -1)),
}
_MARGIN_TOP, _MARGIN_SIDE = 2, 4


@dataclass(frozen=True)
class Page:
    """A picture as few colours.

    Attributes:
        palette: [K, 3] uint8, dark to bright.
        indices: [h, w] uint8.
        width: Of the picture in pixels; the indices may be fewer.
        height: The same, down.
        eighths: Resolution of the indices in eighths of the picture's.
    """

    palette: NDArray[np.uint8]
    indices: NDArray[np.uint8]
    width: int
    height: int
    eighths: int

    def image(self) -> Image.Image:
        """The page as RGB at its full size."""
        picture = Image.fromarray(self.palette[self.indices])
        if self.eighths == EIGHTHS[0]:
            return picture
        return picture.resize((self.width, self.height), Image.Resampling.LANCZOS)


def _reduced(side: int, eighths: int) -> int:
    return max(1, (side * eighths + 7) // 8)


def make_page(image: Image.Image, colours: int, eighths: int) -> Page:
    """Choose a palette and map a picture to it.

    Args:
        image: RGB.
        colours: One of COLOURS.
        eighths: One of EIGHTHS.
    """
    size = _reduced(image.width, eighths), _reduced(image.height, eighths)
    small = image if eighths == EIGHTHS[0] else image.resize(size, Image.Resampling.LANCZOS)
    method = Image.Quantize.MEDIANCUT
    mapped = small.quantize(colours, method=method, kmeans=4, dither=Image.Dither.NONE)
    palette = np.zeros((colours, 3), np.uint8)
    found = np.asarray(mapped.getpalette() or [], np.uint8).reshape(-1, 3)[:colours]
    palette[: len(found)] = found
    order = np.argsort(palette.astype(np.int64) @ np.array([299, 587, 114]), kind="stable")
    places = np.argsort(order).astype(np.uint8)
    return Page(palette[order], places[np.asarray(mapped)], image.width, image.height, eighths)


def _padded(indices: NDArray[np.uint8], fill: int) -> NDArray[np.int64]:
    margin = ((_MARGIN_TOP, 0), (_MARGIN_SIDE, _MARGIN_SIDE))
    return np.pad(indices.astype(np.int64), margin, constant_values=fill)


def estimate_bits(page: Page) -> float:
    """About how many bits a page takes: the empirical entropy in its contexts, and their cost."""
    colours, (height, width) = len(page.palette), page.indices.shape
    padded = _padded(page.indices, colours - 1)
    fresh = np.any(padded[2:] != padded[1:-1], axis=1)
    context = np.zeros((height, width), np.int64)
    for up, left in _NEIGHBOURS[colours]:
        rows = slice(_MARGIN_TOP - up, _MARGIN_TOP - up + height)
        columns = slice(_MARGIN_SIDE - left, _MARGIN_SIDE - left + width)
        context = context * colours + padded[rows, columns]
    joint = context[fresh] * colours + page.indices[fresh]
    together = np.unique(joint, return_counts=True)
    parents = np.unique(joint // colours, return_counts=True)
    entropy = _sum_log(parents[1]) - _sum_log(together[1])
    learning = 2.0 * (len(together[0]) - len(parents[0])) + 2.0 * len(parents[0])
    return float(entropy + learning + 0.5 * height + 24 * colours)


def _sum_log(counts: NDArray[np.int64]) -> float:
    return float((counts * np.log2(counts)).sum())


def _code_map(
    coder: BinaryCoder, indices: NDArray[np.uint8] | None, shape: tuple[int, int], colours: int
) -> NDArray[np.uint8]:
    """Code a map of indices, or decode one where there is none yet."""
    height, width = shape
    blank = [colours - 1] * (width + 2 * _MARGIN_SIDE)
    rows: list[list[int]] = [blank] * _MARGIN_TOP
    neighbours, depth = _NEIGHBOURS[colours], colours.bit_length() - 1
    repeat_context = colours ** len(neighbours) * colours
    given = None if indices is None else _padded(indices, colours - 1)[_MARGIN_TOP:].tolist()
    for number in range(height):
        known = None if given is None else given[number]
        same = coder.code(repeat_context, int(known == rows[-1]))
        if same:
            rows.append(rows[-1])
            continue
        row = list(blank)
        near = [((row, rows[-1], rows[-2])[up], _MARGIN_SIDE - left) for up, left in neighbours]
        for column in range(width):
            context = 0
            for line, offset in near:
                context = context * colours + line[column + offset]
            node, base = 1, context * colours
            value = 0 if known is None else known[column + _MARGIN_SIDE]
            for level in range(depth - 1, -1, -1):
                node = node << 1 | coder.code(base + node, value >> level & 1)
            row[column + _MARGIN_SIDE] = node - colours
        rows.append(row)
    cut = slice(_MARGIN_SIDE, _MARGIN_SIDE + width)
    return np.array([row[cut] for row in rows[_MARGIN_TOP:]], np.uint8)


def _contexts(colours: int) -> int:
    return int(colours ** (len(_NEIGHBOURS[colours]) + 1) + 1)


def encode_page(page: Page) -> bytes:
    """A page's bytes: palette, then the coded map."""
    colours = len(page.palette)
    coder = BinaryEncoder(_contexts(colours))
    shape = page.indices.shape
    _code_map(coder, page.indices, (shape[0], shape[1]), colours)
    return page.palette.tobytes() + coder.finish()


def decode_page(blob: bytes, settings: Sequence[int], width: int, height: int) -> Page:
    """Read a page.

    Args:
        blob: From encode_page.
        settings: Number of colours, and eighths of the resolution.
        width: Of the picture.
        height: Of the picture.

    Raises:
        BitstreamError: The bytes are no such page.
    """
    colours, eighths = settings
    if colours not in COLOURS or eighths not in EIGHTHS or len(blob) < 3 * colours:
        raise BitstreamError("the compressed page's header is damaged")
    palette = np.frombuffer(blob[: 3 * colours], np.uint8).reshape(-1, 3)
    coder = BinaryDecoder(blob[3 * colours :], _contexts(colours))
    shape = _reduced(height, eighths), _reduced(width, eighths)
    return Page(palette, _code_map(coder, None, shape, colours), width, height, eighths)

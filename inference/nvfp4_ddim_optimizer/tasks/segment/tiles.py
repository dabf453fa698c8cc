"""Covering an image of any size with overlapping tiles, and blending them without seams."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["TilePlan", "orient", "orient_back"]

OVERLAP_FRACTION = 0.25
_LEAST_WEIGHT = 0.02


@dataclass(frozen=True)
class TilePlan:
    """Where tiles lie on an image that was padded to hold at least one.

    Attributes:
        height: Of the image, in pixels.
        width: The same across.
        tile: Side of a tile.
        tops: First rows of the tiles.
        lefts: First columns of the tiles.
    """

    height: int
    width: int
    tile: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @classmethod
    def cover(cls, height: int, width: int, tile: int) -> "TilePlan":
        """Spread tiles evenly, overlapping by a quarter at least."""
        return cls(height, width, tile, _starts(height, tile), _starts(width, tile))

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    @property
    def corners(self) -> list[tuple[int, int]]:
        """(top, left) of every tile, row by row."""
        return [(top, left) for top in self.tops for left in self.lefts]

    def pad(self, image: NDArray[np.float32]) -> Tensor:
        """Reflect the image [C, H, W] at its lower and right edge until a tile fits."""
        down, right = max(0, self.tile - self.height), max(0, self.tile - self.width)
        return torch.from_numpy(np.pad(image, ((0, 0), (0, down), (0, right)), mode="symmetric"))

    def cut(self, padded: Tensor, corner: tuple[int, int]) -> Tensor:
        """One tile [C, tile, tile] of a padded image."""
        top, left = corner
        return padded[:, top : top + self.tile, left : left + self.tile]

    def weight(self) -> NDArray[np.float32]:
        """How much each pixel of a tile counts: [tile, tile], a raised cosine in the overlap."""
        edge = int(self.tile * OVERLAP_FRACTION)
        ramp = np.sin((np.arange(edge) + 0.5) / edge * np.pi / 2) ** 2
        line = np.ones(self.tile)
        line[:edge] = ramp
        line[-edge:] = ramp[::-1]
        line = np.maximum(line, _LEAST_WEIGHT)
        return np.outer(line, line).astype(np.float32)


def _starts(length: int, tile: int) -> tuple[int, ...]:
    if length <= tile:
        return (0,)
    stride = tile - int(tile * OVERLAP_FRACTION)
    count = 1 + -(-(length - tile) // stride)
    return tuple(int(start) for start in np.linspace(0, length - tile, count).round())


def orient(image: Tensor, orientation: int) -> Tensor:
    """One of the eight views [..., N, N] of a square, by turns and flips; 0 changes nothing."""
    turned = torch.rot90(image, orientation % 4, (-2, -1))
    return turned.flip(-1) if orientation % 8 >= 4 else turned


def orient_back(image: Tensor, orientation: int) -> Tensor:
    """Undo `orient`."""
    image = image.flip(-1) if orientation % 8 >= 4 else image
    return torch.rot90(image, -(orientation % 4), (-2, -1))

"""Are nuclei that touch counted apart, and single ones not cut?

The data has one mask for all nuclei of an image, so nobody has counted them. Instead single nuclei,
as annotators drew them, are pushed together in pairs until they overlap by a share of the smaller
one's area.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from benchmarks.claims import Claim
from nvfp4_ddim_optimizer.tasks.segment.touching import part_touching

__all__ = ["touching_claims"]

OVERLAPS = (0.0, 0.05, 0.1, 0.2)
PAIRS = 100
_LEAST_AREA, _SOLIDITY = 60, 0.9  # of hulls of pixels; less may be two nuclei
_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
_Mask = NDArray[np.bool_]


def touching_claims(masks: _Mask, seed: int = 0) -> list[Claim]:
    """Claims from masks [N, H, W]; none where no single nucleus is found."""
    random = np.random.default_rng(seed)
    singles = [piece for mask in masks for piece in _single_nuclei(mask)]
    if not singles:
        return []
    whole = [part_touching(np.pad(piece, 2)).max() == 1 for piece in singles]
    group = "Touching nuclei"
    claims = [
        Claim(
            "single_nuclei_whole",
            100 * float(np.mean(whole)),
            "%",
            None,
            "higher",
            f"{len(singles)} single convex nuclei of the held-out masks, not cut",
            group,
        )
    ]
    for overlap in OVERLAPS:
        counts = []
        for _ in range(PAIRS):
            first, second = random.integers(len(singles), size=2)
            pair = _pushed_together(singles[first], singles[second], overlap, random)
            counts.append(int(part_touching(pair).max()))
        claims.append(
            Claim(
                f"pairs_parted_{round(100 * overlap)}_percent",
                100 * float(np.mean(np.array(counts) == 2)),
                "%",
                None,
                "higher",
                f"{PAIRS} pairs of them, overlapping by {overlap:.0%} of the smaller one's area, "
                "counted as two (connected pieces alone: 0 %)",
                group,
            )
        )
    return claims


def _single_nuclei(mask: _Mask) -> Iterator[_Mask]:
    """Convex pieces of a mask that its border does not cut."""
    labels, _ = ndimage.label(mask, structure=_EIGHT_NEIGHBOURS)
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        piece = labels[box] == number
        cut = any(
            side.start == 0 or side.stop == length
            for side, length in zip(box, mask.shape, strict=True)
        )
        if cut or piece.sum() < _LEAST_AREA:
            continue
        corners = np.concatenate(
            [np.argwhere(piece) + shift for shift in ((0, 0), (0, 1), (1, 0), (1, 1))]
        )
        if piece.sum() / ConvexHull(corners).volume > _SOLIDITY:
            yield piece


def _pushed_together(
    first: _Mask, second: _Mask, overlap: float, random: np.random.Generator
) -> _Mask:
    """Two pieces, the second from a random side until it touches and overlaps enough."""
    angle, smaller = random.uniform(0, 2 * np.pi), min(first.sum(), second.sum())
    side = 2 * (sum(first.shape) + sum(second.shape))
    still = _placed(first, side, 0, 0)
    touched = ndimage.binary_dilation(still, _EIGHT_NEIGHBOURS)
    for distance in np.arange(side / 4, 0, -0.5):
        moved = _placed(second, side, distance * np.sin(angle), distance * np.cos(angle))
        if (touched & moved).any() and (still & moved).sum() >= overlap * smaller:
            return still | moved
    return still | _placed(second, side, 0, 0)


def _placed(piece: _Mask, side: int, down: float, right: float) -> _Mask:
    canvas = np.zeros((side, side), bool)
    top = round(side / 2 + down - piece.shape[0] / 2)
    left = round(side / 2 + right - piece.shape[1] / 2)
    canvas[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
    return canvas

"""Parting pieces of a mask that touch: a watershed on the distance to the mask's edge.

Meyer 1994, "Topographic distance and watershed lines" (Signal Processing 38). Every local maximum
of the distance begins a part, which cuts far too often; so parts are joined again unless the neck
between them is narrow. (`scipy.ndimage.watershed_ift` floods by differences of heights, not by
heights, and does not stop at necks.)
"""

import heapq

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["part_touching"]

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
# Two parts stay apart if their neck is narrower than this share of the smaller one's width.
NECK = 0.85
_SMOOTHING = 1.0  # pixels; edges of masks are ragged
_WINDOW = 5  # pixels; maxima are the largest of such squares


def part_touching(mask: NDArray[np.bool_], neck: float = NECK) -> NDArray[np.int32]:
    """Number the pieces of a mask [H, W] from 1, those that touch apart; 0 is outside.

    Pixels that touch at a corner belong together.

    Args:
        mask: [H, W].
        neck: Between 0 and 1; 0 parts nothing.
    """
    pieces, count = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)
    if not count or neck <= 0:
        return np.asarray(pieces, np.int32)
    # Beyond the picture nuclei go on: its border is no edge.
    distance = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1]
    smooth = ndimage.gaussian_filter(distance, _SMOOTHING)
    smooth[~mask] = 0
    seeds = (smooth == ndimage.maximum_filter(smooth, _WINDOW)) & mask
    markers, seed_count = ndimage.label(seeds, structure=EIGHT_NEIGHBOURS)
    if seed_count <= count:
        return np.asarray(pieces, np.int32)
    return _joined(_flooded(smooth, markers, mask), smooth, neck)


def _flooded(
    distance: NDArray[np.float64], markers: NDArray[np.int32], mask: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Let markers grow over the mask [H, W], the largest distances first."""
    width = mask.shape[1] + 2
    parts = np.pad(markers, 1).ravel().tolist()
    height = np.pad(distance, 1).ravel().tolist()
    dry = (np.pad(mask, 1) & (np.pad(markers, 1) == 0)).ravel().tolist()
    around = (-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1)
    queue = [(-height[pixel], pixel) for pixel, part in enumerate(parts) if part]
    heapq.heapify(queue)
    while queue:
        _, pixel = heapq.heappop(queue)
        for step in around:
            neighbour = pixel + step
            if dry[neighbour]:
                dry[neighbour] = False
                parts[neighbour] = parts[pixel]
                heapq.heappush(queue, (-height[neighbour], neighbour))
    return np.array(parts, np.int32).reshape(-1, width)[1:-1, 1:-1]


def _joined(
    parts: NDArray[np.int32], distance: NDArray[np.float64], neck: float
) -> NDArray[np.int32]:
    """Join neighbours, widest neck first, while it is wide beside the smaller one."""
    count = int(parts.max())
    half_width = ndimage.maximum(distance, parts, np.arange(count + 1))
    half_width[0] = 0
    owner = np.arange(count + 1)

    def root(part: int) -> int:
        while owner[part] != part:
            part = int(owner[part])
        return part

    for (a, b), half_neck in _necks(parts, distance):
        first, second = root(a), root(b)
        smaller = min(half_width[first], half_width[second])
        if first != second and half_neck >= neck * smaller:
            owner[second] = first
            half_width[first] = max(half_width[first], half_width[second])
    roots = np.array([root(part) for part in range(count + 1)])
    _, numbers = np.unique(roots, return_inverse=True)
    return numbers.astype(np.int32)[parts]


def _necks(
    parts: NDArray[np.int32], distance: NDArray[np.float64]
) -> list[tuple[tuple[int, int], float]]:
    """Pairs of neighbouring parts and half the width of what joins them, widest first."""
    widest: dict[tuple[int, int], float] = {}
    rows, columns = parts.shape
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (slice(0, rows - down), slice(max(0, -right), columns - max(0, right)))
        there = (slice(down, rows), slice(max(0, right), columns - max(0, -right)))
        a, b = parts[here], parts[there]
        border = (a != b) & (a > 0) & (b > 0)
        through = np.minimum(distance[here], distance[there])[border]
        for one, other, value in zip(a[border], b[border], through, strict=True):
            pair = (int(min(one, other)), int(max(one, other)))
            widest[pair] = max(widest.get(pair, 0.0), float(value))
    return sorted(widest.items(), key=lambda item: -item[1])

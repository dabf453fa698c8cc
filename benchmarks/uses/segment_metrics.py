"""How good a mask is, and whether doubt ranks errors."""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "calibration_error",
    "dice_of_each",
    "iou_of_each",
    "mean_dice",
    "risk_coverage",
]

Masks = NDArray[np.bool_]


def dice_of_each(found: Masks, truth: Masks) -> NDArray[np.float64]:
    """Dice of each image [N, H, W]; 1 where both masks are empty."""
    both = (found & truth).sum((1, 2))
    sizes = found.sum((1, 2)) + truth.sum((1, 2))
    return np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0)


def iou_of_each(found: Masks, truth: Masks) -> NDArray[np.float64]:
    """Intersection over union of each image [N, H, W]; 1 where both masks are empty."""
    union = (found | truth).sum((1, 2))
    return np.where(union > 0, (found & truth).sum((1, 2)) / np.maximum(union, 1), 1.0)


def mean_dice(found: Masks, truth: Masks) -> float:
    """Mean over images of their Dice."""
    return float(dice_of_each(found, truth).mean())


def risk_coverage(
    uncertainty: NDArray[np.floating], wrong: Masks
) -> tuple[NDArray[np.float64], float]:
    """Share of wrong pixels among the most certain ones, at every coverage, and its mean.

    Ties in uncertainty share the risk that their random order would have on average, so that a
    method gains nothing from many equal values.

    Args:
        uncertainty: Any shape; larger is less certain.
        wrong: The same shape.

    Returns:
        Risk at coverage k/n for k = 1..n [n], and the area under that curve.

    Source: Geifman & El-Yaniv 2017 (arXiv:1705.08500); Geifman et al. 2019 (arXiv:1805.08206).
    """
    flat, errors = uncertainty.ravel(), wrong.ravel().astype(np.float64)
    order = np.argsort(flat, kind="stable")
    _, group, sizes = np.unique(flat[order], return_inverse=True, return_counts=True)
    share = np.bincount(group, weights=errors[order]) / sizes
    cumulative = np.cumsum(share[group])
    risk = cumulative / np.arange(1, len(cumulative) + 1)
    return risk, float(risk.mean())


def calibration_error(probability: NDArray[np.floating], truth: Masks, bins: int = 15) -> float:
    """Expected calibration error of the probability of the mask, in equal bins.

    Source: Guo et al. 2017 (arXiv:1706.04599), eq. 3, for the positive class.
    """
    index = np.minimum((probability.ravel() * bins).astype(int), bins - 1)
    count = np.maximum(np.bincount(index, minlength=bins), 1)
    mean_p = np.bincount(index, weights=probability.ravel(), minlength=bins) / count
    mean_y = np.bincount(index, weights=truth.ravel(), minlength=bins) / count
    filled = np.bincount(index, minlength=bins) / index.size
    return float((filled * np.abs(mean_p - mean_y)).sum())

"""Measures of a classifier and of a detector, as pure functions."""

import numpy as np
import numpy.typing as npt

__all__ = ["accuracy", "auroc", "calibration_bins", "calibration_error", "confusion", "macro_f1"]

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]


def accuracy(predicted: Ints, labels: Ints) -> float:
    """Share of right predictions."""
    return float((predicted == labels).mean())


def confusion(predicted: Ints, labels: Ints, num_classes: int) -> npt.NDArray[np.int64]:
    """[K, K] counts: row is the truth, column the prediction."""
    table = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(table, (labels, predicted), 1)
    return table


def macro_f1(predicted: Ints, labels: Ints, num_classes: int) -> float:
    """Mean over the classes of 2 TP / (2 TP + FP + FN); a class that never occurs counts 0."""
    table = confusion(predicted, labels, num_classes)
    hits = table.diagonal()
    total = table.sum(axis=0) + table.sum(axis=1)
    return float(np.where(total > 0, 2 * hits / np.maximum(total, 1), 0).mean())


def calibration_bins(
    probabilities: Floats, labels: Ints, bins: int = 15
) -> list[tuple[float, float, int]]:
    """Mean confidence, accuracy and count of each occupied bin of equal width.

    Args:
        probabilities: [N, K], rows add up to 1.
        labels: [N].
        bins: Over (0, 1].
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        (float(confidence[place == b].mean()), float(right[place == b].mean()), int(count))
        for b, count in enumerate(np.bincount(place, minlength=bins))
        if count
    ]


def calibration_error(probabilities: Floats, labels: Ints, bins: int = 15) -> float:
    """Expected calibration error: mean distance of confidence and accuracy, by count.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599), eq. 3.
    """
    occupied = calibration_bins(probabilities, labels, bins)
    return sum(n * abs(c - a) for c, a, n in occupied) / len(labels)


def auroc(known: Floats, foreign: Floats) -> float:
    """Probability that a foreign item scores higher than a known one; ties count half."""
    scores = np.concatenate([known, foreign])
    order = np.sort(scores)
    ranks = (np.searchsorted(order, foreign, "left") + np.searchsorted(order, foreign, "right")) / 2
    below = ranks.sum() - len(foreign) * len(foreign) / 2
    return float(below / (len(known) * len(foreign)))

"""Measures on cases that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.uses.classification import (
    accuracy,
    auroc,
    calibration_bins,
    calibration_error,
    confusion,
    macro_f1,
)

LABELS = np.array([0, 0, 1, 1, 2, 2])
FOUND = np.array([0, 1, 1, 1, 2, 0])


def test_confusion_and_accuracy() -> None:
    assert confusion(FOUND, LABELS, 3).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert accuracy(FOUND, LABELS) == pytest.approx(4 / 6)


def test_macro_f1() -> None:
    assert macro_f1(FOUND, LABELS, 3) == pytest.approx(np.mean([2 / 4, 4 / 5, 2 / 3]))
    assert macro_f1(LABELS, LABELS, 3) == 1


def test_calibration_error_is_the_gap_of_confidence_and_accuracy() -> None:
    probabilities = np.array([[0.9, 0.1]] * 4)
    labels = np.array([0, 0, 0, 1])
    assert calibration_error(probabilities, labels, bins=10) == pytest.approx(0.15)
    assert calibration_bins(probabilities, labels, 10) == [(pytest.approx(0.9), 0.75, 4)]


def test_certain_and_right_is_calibrated() -> None:
    assert calibration_error(np.eye(3)[LABELS], LABELS) == 0


def test_auroc_by_hand() -> None:
    assert auroc(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 1
    assert auroc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 0
    assert auroc(np.array([1.0, 1.0]), np.array([1.0])) == 0.5
    assert auroc(np.array([0.0, 2.0]), np.array([1.0])) == 0.5


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=20),
    st.lists(st.integers(0, 6), min_size=1, max_size=20),
)
def test_auroc_is_the_share_of_pairs(known: list[int], foreign: list[int]) -> None:
    pairs = [(f > k) + 0.5 * (f == k) for f in foreign for k in known]
    value = auroc(np.array(known, float), np.array(foreign, float))
    assert value == pytest.approx(np.mean(pairs))

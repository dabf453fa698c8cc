import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.uses.segment_metrics import (
    calibration_error,
    dice_of_each,
    iou_of_each,
    risk_coverage,
)


def test_dice_and_iou_by_hand() -> None:
    truth = np.array([[[1, 1, 0, 0]], [[0, 0, 0, 0]]], bool)
    found = np.array([[[1, 0, 1, 0]], [[0, 0, 0, 0]]], bool)
    assert dice_of_each(found, truth).tolist() == [0.5, 1.0]
    assert iou_of_each(found, truth).tolist() == [pytest.approx(1 / 3), 1.0]


def test_doubt_that_ranks_errors_has_less_area() -> None:
    wrong = np.array([True, False, False, False])
    _, good = risk_coverage(np.array([0.9, 0.1, 0.2, 0.3]), wrong)
    _, bad = risk_coverage(np.array([0.1, 0.9, 0.8, 0.7]), wrong)
    assert good == pytest.approx(1 / 16)
    assert bad == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_equal_doubts_share_their_risk() -> None:
    wrong = np.array([True, False, False, True])
    for order in ([0, 1, 2, 3], [1, 2, 0, 3]):
        risk, area = risk_coverage(np.zeros(4), wrong[order])
        assert risk.tolist() == [0.5] * 4
        assert area == 0.5


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_full_coverage_has_the_plain_risk(pairs: list[tuple[float, bool]]) -> None:
    doubt, wrong = (np.array(each) for each in zip(*pairs, strict=True))
    risk, _ = risk_coverage(doubt, wrong)
    assert risk[-1] == pytest.approx(wrong.mean())


def test_calibration_error_of_honest_probabilities_is_small() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    assert calibration_error(p, rng.random(p.size) < p) < 0.005
    assert calibration_error(p, rng.random(p.size) < p**3) > 0.1

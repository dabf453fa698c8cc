"""Claims and tables from made-up measurements."""

import numpy as np
import pytest

from benchmarks.uses.leaf_claims import Measured, claims_of, tables_of
from benchmarks.uses.leaf_sets import CORRUPTIONS

LABELS = np.array([0, 0, 1, 1, 2, 2])
CLASSES = ("healthy", "Early_blight", "Late_blight")


@pytest.fixture
def measured() -> Measured:
    right = np.full((6, 3), 0.05)
    right[np.arange(6), LABELS] = 0.9
    wrong = right.copy()
    wrong[0] = [0.1, 0.8, 0.1]
    fast = dict.fromkeys(CORRUPTIONS, right) | {f"unlike_{k}": np.full(6, 0.5) for k in CORRUPTIONS}
    thorough = {
        "errors": wrong,
        "fused": right,
        "severity": np.array([0, 0, 0.1, 0.2, 0.3, np.nan]),
    }
    return Measured(
        labels=LABELS,
        classes=CLASSES,
        duplicates=np.zeros(6, bool),
        fast={"nvfp4": fast, "full": fast},
        foreign={name: {"pages": np.array([0.4, 2.0, 3.0])} for name in ("nvfp4", "full")},
        baseline=dict.fromkeys(CORRUPTIONS, wrong),
        thorough={(name, n): thorough for n in (10, 20, 50) for name in ("nvfp4", "full")},
        thorough_labels=dict.fromkeys((10, 20, 50), LABELS),
        timing=dict.fromkeys(
            ("fast_ms", "fast_cpu_ms", "10_ms", "20_ms", "50_ms", "peak_bytes"), 7.0
        ),
        artifact_bytes=1000,
    )


def test_claims(measured: Measured) -> None:
    claims = {claim.id: claim for claim in claims_of(measured)}
    assert claims["accuracy"].value == claims["accuracy_fast"].value == 100
    assert claims["macro_f1"].value == 1
    assert claims["ood_auroc"].value == pytest.approx(2 / 3)
    assert claims["accuracy_blur_baseline"].value == pytest.approx(500 / 6)
    assert claims["accuracy_blur_nvfp4"].goal == pytest.approx(500 / 6)
    assert claims["accuracy_errors_20_nvfp4"].value == pytest.approx(500 / 6)
    assert claims["severity_median_early_blight"].value == pytest.approx(15)
    assert claims["severity_median_late_blight"].value == pytest.approx(30)
    assert claims["ms_per_photo"].goal == 300
    assert len(claims) == len(claims_of(measured))  # no id twice


def test_tables(measured: Measured) -> None:
    robust, matrix, foreign, everything = tables_of(measured)
    assert robust.row_count == len(CORRUPTIONS)
    assert matrix.row_count == 3
    assert foreign.row_count == 1
    assert everything.row_count == len(claims_of(measured))

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.page import render
from benchmarks.peers.registry import BASELINE, OURS
from benchmarks.speed_report import claims_of, write_report


def _pair(name: str, label: str, ours: float, peer: float) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "size": 512,
        "threads": 2,
        "seconds": {OURS: ours, name: peer},
        "ratio": peer / ours,
        "rounds": [{OURS: ours, name: peer}],
        "first_step_seconds": {OURS: ours + 1, name: peer + 1},
        "relative_error": {OURS: 0.1, name: 0.0},
        "peak_bytes": {OURS: 2_000_000_000, name: 4_000_000_000},
        "details": {OURS: {"execution path": "cpu/fp32/nvfp4-packed"}, name: {}},
    }


RECORDS: dict[str, dict[str, Any]] = {
    BASELINE: _pair(BASELINE, "diffusers fp32", 10, 16),
    "openvino-f16": _pair("openvino-f16", "OpenVINO f16", 10, 14),
    "openvino-int8": _pair("openvino-int8", "OpenVINO int8", 10, 12),
    "sdcpp": _pair("sdcpp", "stable-diffusion.cpp q4_0", 10, 32)
    | {"parts": {"text": 1.0, "decode": 100.0}},
    "sdnq": {"failed": "sdnq is not installed"},
    "pictures": {
        "ours": {
            "fast": {"seconds": 40.0, "steps": 10},
            "balanced": {"seconds": 80.0, "steps": 20},
        },
        "baseline": {"text": 1.0, "decode": 9.0, "step": 16.0, "seconds": 810.0},
        "full": False,
        "peak_bytes": {OURS: 3_000_000_000, BASELINE: 5_000_000_000},
    },
}


@pytest.fixture(scope="module")
def claims() -> dict[str, Any]:
    return {claim.id: claim for claim in claims_of(RECORDS)}


def test_ratios_say_how_many_times_faster_we_are(claims: dict[str, Any]) -> None:
    assert claims["step_ratio_vs_diffusers_fp32"].value == pytest.approx(1.6)
    assert claims["step_ratio_vs_diffusers_fp32"].goal == 1.5
    assert claims["step_ratio_vs_sdcpp"].value == pytest.approx(3.2)
    assert claims["image_ratio_balanced_vs_50step_fp32"].value == pytest.approx(810 / 80)


def test_openvino_is_the_fastest_one(claims: dict[str, Any]) -> None:
    assert claims["step_ratio_vs_openvino"].value == pytest.approx(1.2)
    assert "OpenVINO int8" in claims["step_ratio_vs_openvino"].note
    assert claims["step_ratio_vs_openvino_f16"].goal is None


def test_what_failed_is_not_claimed(claims: dict[str, Any]) -> None:
    assert not [name for name in claims if "sdnq" in name]


def test_a_composed_picture_says_so(claims: dict[str, Any]) -> None:
    assert "50 median steps" in claims["image_ratio_balanced_vs_50step_fp32"].note
    # text + 20 steps + decoder; stable-diffusion.cpp has its own of both
    assert claims["image_seconds_openvino_int8_20"].value == pytest.approx(1 + 20 * 12 + 9)
    assert claims["image_seconds_sdcpp_20"].value == pytest.approx(1 + 20 * 32 + 100)


def test_the_report_is_claims_records_and_plots_that_the_page_shows(tmp_path: Path) -> None:
    path = write_report(RECORDS, "python -m benchmarks.speed", tmp_path)
    written = json.loads(path.read_text())
    pictures = sorted(each.name for each in tmp_path.glob("*.png"))
    assert pictures == ["speed_pictures.png", "speed_steps.png"]
    assert json.loads((tmp_path / "records" / "speed.json").read_text()) == RECORDS
    page = render({"speed": written}, pictures)
    assert "### How many times faster we are" in page
    assert "| 2 GB |" in page
    assert all(f"({picture})" in page for picture in pictures)

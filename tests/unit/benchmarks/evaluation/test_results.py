from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.evaluation.comparison import Comparison
from benchmarks.evaluation.plots import plot_formats, plot_steps
from benchmarks.evaluation.results import FormatResult, Results, claims_of
from benchmarks.evaluation.swapping import FormatCost
from benchmarks.evaluation.weight_formats import FORMATS, preset_format
from nvfp4_ddim_contracts import Preset

FOUND = Comparison(2040, 10.1, 10.0, 1.0, 0.2, 0.3, 1.5, 0.01, 32.0, 0.95)


@pytest.fixture
def results() -> Results:
    cost = FormatCost(4.5, 4.2, 7e6, 0.007, "abc")
    return Results(
        subject="emoji-64",
        formats={name: FormatResult(known, cost, 0.08) for name, known in FORMATS.items()},
        comparisons={(preset_format(Preset.BALANCED).name, steps): FOUND for steps in (10, 20)},
        chance=FOUND,
        frechet_fp={10: 12.0, 20: 10.0},
        curve={10: FOUND},
    )


def test_goals_are_the_presets_own_and_otherwise_the_promise_by_steps(results: Results) -> None:
    goals = {claim.id: claim.goal for claim in claims_of(results)}
    assert goals["frechet_delta_percent_balanced"] == 2.0
    assert goals["frechet_delta_percent_balanced_10_steps"] == 12.0
    assert "frechet_delta_percent_balanced_50_steps" not in goals
    assert goals["frechet_delta_percent_by_chance"] is None


def test_small_sets_make_no_claim(results: Results) -> None:
    small = {key: replace(FOUND, samples=600) for key in results.comparisons}
    ids = [claim.id for claim in claims_of(replace(results, comparisons=small))]
    assert not [name for name in ids if name.startswith("frechet_delta_percent_balanced")]
    assert "output_error_nf4" in ids


def test_ids_are_unique_and_those_of_other_models_have_their_name(results: Results) -> None:
    ids = [claim.id for claim in claims_of(results)]
    others = [claim.id for claim in claims_of(replace(results, subject="mnist"))]
    assert len(set(ids)) == len(ids)
    assert others == [f"mnist_{name}" for name in ids]


def test_plots_what_is_there(results: Results, tmp_path: Path) -> None:
    nothing = replace(results, subject="mnist", comparisons={}, curve={}, frechet_fp={})
    for plot in (plot_formats, plot_steps):
        path = tmp_path / f"{plot.__name__}.png"
        plot([results, nothing], path)
        assert path.read_bytes().startswith(b"\x89PNG")

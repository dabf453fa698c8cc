"""The whole way, with random weights: how its parts are put together."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from nvfp4_ddim_contracts.tasks.analyze import Finding
from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.analyze import LeafAnalyzer


def _with(model: TaskModel, **options: float) -> LeafAnalyzer:
    return LeafAnalyzer(replace(model, options={**model.options, **options}))


def test_a_thorough_report(model: TaskModel, leaf: Image.Image) -> None:
    analysis = LeafAnalyzer(model).analyze(leaf, num_inference_steps=3, least_probability=0.34)
    report = analysis.report
    values = [value for _, value in report.probabilities]
    assert sum(values) == pytest.approx(1, abs=1e-5)
    assert report.probability == pytest.approx(max(values))
    assert report.finding == max(report.probabilities, key=lambda pair: pair[1])[0]
    assert report.diffusion_probabilities is not None
    assert report.severity is not None
    assert analysis.heat is not None
    assert analysis.heat.shape == (64, 64)
    assert report.advice.steps
    assert 0 < report.leaf_share < 1


def test_the_answer_depends_on_the_seed_only(model: TaskModel, leaf: Image.Image) -> None:
    analyzer = LeafAnalyzer(model)
    first, second, other = (
        analyzer.analyze(leaf, num_inference_steps=3, seed=seed) for seed in (1, 1, 2)
    )
    assert first.report == second.report
    assert np.array_equal(first.heat, second.heat)
    assert first.report.diffusion_probabilities != other.report.diffusion_probabilities
    assert first.report.fast_probabilities == other.report.fast_probabilities


def test_the_fast_method_needs_no_noise(model: TaskModel, leaf: Image.Image) -> None:
    analysis = LeafAnalyzer(model).analyze(leaf, method="fast")
    assert analysis.heat is None
    assert analysis.report.severity is None
    assert analysis.report.diffusion_probabilities is None
    assert analysis.report.probabilities == analysis.report.fast_probabilities


def test_turning_the_photo_changes_nothing_on_the_fast_path(
    model: TaskModel, leaf: Image.Image
) -> None:
    square = leaf.crop((40, 25, 160, 145))
    analyzer = LeafAnalyzer(model)
    reports = [
        analyzer.analyze(square.transpose(turn), method="fast").report
        for turn in (Image.Transpose.ROTATE_90, Image.Transpose.FLIP_LEFT_RIGHT)
    ]
    plain = analyzer.analyze(square, method="fast").report
    for report in reports:
        assert report.probability == pytest.approx(plain.probability, abs=0.02)


def test_probabilities_are_tempered(model: TaskModel, leaf: Image.Image) -> None:
    sharp = _with(model, feature_temperature=0.1).analyze(leaf, method="fast").report
    flat = _with(model, feature_temperature=1000.0).analyze(leaf, method="fast").report
    assert sharp.probability > flat.probability
    assert flat.probability == pytest.approx(1 / 3, abs=0.02)


def test_both_answers_are_weighed(model: TaskModel) -> None:
    first, second = torch.tensor([0.8, 0.1, 0.1]), torch.tensor([0.2, 0.7, 0.1])
    only_features = _with(model, feature_weight=1.0, error_weight=0.0).fused(first, second)
    assert only_features == pytest.approx(first, abs=1e-5)
    both = _with(model, feature_weight=1.0, error_weight=1.0).fused(first, second)
    assert both == pytest.approx(first * second / (first * second).sum(), abs=1e-5)


def test_a_photo_beyond_the_limit_is_not_judged(model: TaskModel, leaf: Image.Image) -> None:
    report = _with(model, distance_limit=1e-4).analyze(leaf, num_inference_steps=2).report
    assert report.finding is Finding.NOT_SURE
    assert report.unlike_training > 1
    assert "unlike" in report.reason
    assert report.severity is None
    assert report.advice.title == "No answer from this photo"


def test_no_leaf_no_answer(model: TaskModel) -> None:
    photo = Image.new("RGB", (80, 60), (100, 100, 115))
    report = LeafAnalyzer(model).analyze(photo, num_inference_steps=2).report
    assert report.finding is Finding.NOT_SURE
    assert report.leaf_share == 0
    assert "coloured like a leaf" in report.reason


def test_doubt_between_classes_is_told(model: TaskModel, leaf: Image.Image) -> None:
    analyzer = _with(model, feature_temperature=1000.0)
    report = analyzer.analyze(leaf, method="fast", least_probability=0.9).report
    assert report.finding is Finding.NOT_SURE
    assert "0.9" in report.reason


def test_wrong_arguments_are_refused(model: TaskModel, leaf: Image.Image) -> None:
    analyzer = LeafAnalyzer(model)
    with pytest.raises(InvalidInputError, match="fast or thorough"):
        analyzer.analyze(leaf, method="guess")
    with pytest.raises(InvalidInputError, match="at least 1"):
        analyzer.analyze(leaf, num_inference_steps=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heat_limit": -1.0}, "heat_limit"),
        ({"classes": ["healthy"]}, "classes"),
        ({"first_timestep": 800}, "range"),
        ({"extra": 1}, "extra"),
    ],
)
def test_options_of_another_task_are_refused(
    model: TaskModel, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelNotSupportedError, match=message):
        LeafAnalyzer(replace(model, options={**model.options, **options}))


@pytest.mark.parametrize("missing", ["transform", "unet", "tables"])
def test_missing_parts_are_named(model: TaskModel, missing: str) -> None:
    components = {k: v for k, v in model.components.items() if k != missing}
    with pytest.raises(ModelNotSupportedError, match=missing):
        LeafAnalyzer(replace(model, components=components))

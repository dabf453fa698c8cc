import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from nvfp4_ddim_contracts.tasks.segment import SegmentParameters
from nvfp4_ddim_optimizer.diffusion import StepEvent
from nvfp4_ddim_optimizer.errors import (
    GenerationCancelled,
    InvalidInputError,
    ModelNotSupportedError,
)
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.base import RunOptions
from nvfp4_ddim_optimizer.tasks.segment import Segmentation, Segmenter
from nvfp4_ddim_optimizer.tasks.segment import sampling as sampling_module
from nvfp4_ddim_optimizer.tasks.segment.segmenter import doubt

TWO = SegmentParameters(samples=2)


@pytest.fixture
def found(model: TaskModel, picture: np.ndarray) -> Segmentation:
    return Segmenter(model).segment(picture, TWO, RunOptions(2, seed=5))


def test_maps_have_the_pictures_size(found: Segmentation, picture: np.ndarray) -> None:
    shape = (1, *picture.shape[:2])
    assert found.mask.shape == found.labels.shape == found.probability.shape == shape
    assert (found.probability >= 0).all()
    assert (found.probability <= 1).all()
    assert (found.uncertainty >= 0).all()
    assert (found.uncertainty <= 1).all()
    np.testing.assert_array_equal(found.mask, found.labels > 0)
    assert (found.probability[found.mask] > 0.499).all()
    assert sum(each.area_px for each in found.instances) == found.mask.sum()
    assert found.overlay().size == (52, 40)


def test_equal_seeds_give_equal_masks(
    model: TaskModel, picture: np.ndarray, found: Segmentation
) -> None:
    segmenter = Segmenter(model)
    again = segmenter.segment(picture, TWO, RunOptions(2, seed=5))
    other = segmenter.segment(picture, TWO, RunOptions(2, seed=6))
    np.testing.assert_array_equal(again.probability, found.probability)
    assert (other.probability != found.probability).any()


def test_the_size_of_batches_does_not_matter(
    model: TaskModel, picture: np.ndarray, found: Segmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling_module, "_BATCH", 3)
    again = Segmenter(model).segment(picture, TWO, RunOptions(2, seed=5))
    np.testing.assert_allclose(again.probability, found.probability, atol=2e-3)


def test_pictures_of_pillow_are_taken(model: TaskModel, picture: np.ndarray) -> None:
    segmenter, options = Segmenter(model), RunOptions(1, seed=0)
    as_array = segmenter.segment(picture[..., 0], TWO, options)
    for mode in ("L", "RGBA", "CMYK"):
        as_picture = segmenter.segment(Image.fromarray(picture).convert(mode), TWO, options)
        np.testing.assert_allclose(as_picture.probability, as_array.probability, atol=2e-3)


def test_rescaling_returns_the_pictures_size(model: TaskModel, picture: np.ndarray) -> None:
    parameters = SegmentParameters(samples=1, rescale=0.4)
    found = Segmenter(model).segment(picture, parameters, RunOptions(1, seed=0))
    assert found.mask.shape == (1, 40, 52)


@pytest.mark.parametrize("shape", [(1, 1), (31, 33), (1, 90), (32, 32)])
def test_any_size_is_taken(model: TaskModel, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random(shape)
    found = Segmenter(model).segment(image, SegmentParameters(samples=1), RunOptions(1, seed=0))
    assert found.mask.shape == (1, *shape)
    assert np.isfinite(found.probability).all()


def test_every_step_is_told_and_counted(model: TaskModel, picture: np.ndarray) -> None:
    events: list[StepEvent] = []
    Segmenter(model).segment(picture, TWO, RunOptions(3, seed=0, on_step=events.append))
    assert [event.step for event in events] == list(range(1, len(events) + 1))
    assert {event.total for event in events} == {len(events)}


def test_it_can_be_cancelled(model: TaskModel, picture: np.ndarray) -> None:
    with pytest.raises(GenerationCancelled):
        Segmenter(model).segment(picture, TWO, RunOptions(2, 0, should_cancel=lambda: True))


def test_not_finite_pictures_are_refused(model: TaskModel) -> None:
    with pytest.raises(InvalidInputError, match="not finite"):
        Segmenter(model).segment(np.full((8, 8), np.inf), TWO, RunOptions(1, 0))


def test_other_components_are_refused(model: TaskModel) -> None:
    swapped = {**model.components, "image_encoder": torch.nn.Identity()}
    with pytest.raises(ModelNotSupportedError, match="ImageEncoder"):
        Segmenter(dataclasses.replace(model, components=swapped))
    for name in ("threshold", "guess_weight"):
        options = {**model.options, name: "much"}
        with pytest.raises(ModelNotSupportedError, match=name):
            Segmenter(dataclasses.replace(model, options=options))
    with pytest.raises(ModelNotSupportedError, match="tiles"):
        Segmenter(dataclasses.replace(model, native_width=64))


def test_the_guess_alone_needs_no_noise(model: TaskModel, picture: np.ndarray) -> None:
    options = {**model.options, "guess_weight": 1}
    segmenter = Segmenter(dataclasses.replace(model, options=options))
    first, second = (segmenter.segment(picture, TWO, RunOptions(1, seed)) for seed in (1, 2))
    np.testing.assert_array_equal(first.probability, second.probability)


def test_doubt_is_largest_at_one_half_and_spreads_to_neighbours() -> None:
    assert doubt(np.full((4, 4), 0.5, np.float32)) == pytest.approx(np.ones((4, 4)), abs=1e-4)
    sure = np.zeros((9, 9), np.float32)
    assert doubt(sure).max() < 1e-4
    sure[4, 4] = 0.5
    spread = doubt(sure)
    assert spread[4, 4] > spread[4, 5] > 1e-2 > spread[4, 6]

"""The call shapes of the public interface, on the bundled models."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError

INPUTS = Path(__file__).parents[3] / "examples" / "inputs"


def load(name: str) -> OptimizationPipeline:
    return OptimizationPipeline.from_preset(name, preset="fast", device="cpu")


def test_segment() -> None:
    image = Image.open(INPUTS / "nuclei-fluorescence.png")
    found = load("nuclei-128").segment(image, samples=1, num_inference_steps=2)
    assert found.mask.shape[-2:] == (image.height, image.width)
    assert 0 < found.mask.mean() < 0.9


def test_compress_and_decompress() -> None:
    image = Image.open(INPUTS / "portrait.jpg").convert("RGB").resize((192, 128))
    pipeline = load("photo-codec")
    blob = pipeline.compress(image, target_bitrate="0.2bpp", quality="fidelity")
    assert len(blob) * 8 <= 0.2 * 192 * 128 * 1.05
    shown = pipeline.decompress(blob)
    assert shown.size == image.size
    error = np.asarray(shown, np.float64) - np.asarray(image, np.float64)
    assert np.square(error).mean() < np.asarray(image, np.float64).var() / 2
    with pytest.raises(InvalidInputError, match="bit rate"):
        pipeline.compress(image, target_bitrate="small")
    with pytest.raises(InvalidInputError, match="perceptual"):
        pipeline.compress(image, quality="nice")


def test_interpolate() -> None:
    rows = np.cos(np.linspace(-np.pi / 2, np.pi / 2, 96))[:, None]
    start = np.repeat(30 * rows - 5, 192, axis=1)
    frames = load("climate-6h").interpolate(
        start_state=start,
        end_state=start + 1,
        num_steps=1,
        members=1,
        num_inference_steps=2,
        start_time=datetime(2020, 7, 1, 0, tzinfo=UTC),
        end_time=datetime(2020, 7, 1, 12, tzinfo=UTC),
    )
    assert np.array_equal(frames.mean[0], start)
    assert np.array_equal(frames.mean[-1], start + 1)


def test_interpolate_pictures() -> None:
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames = load("emoji-64").interpolate(*pictures, num_steps=1, num_inference_steps=2)
    assert isinstance(frames, list)
    assert [frame.size for frame in frames] == [(64, 64)] * 3
    with pytest.raises(InvalidInputError, match="climate-6h"):
        load("emoji-64").interpolate(np.zeros((4, 4)), np.zeros((4, 4)))


def test_analyze() -> None:
    photo = Image.open(INPUTS / "potato_late_blight.jpg")
    found = load("potato-leaf-128").analyze(photo, method="fast")
    assert sum(found.report.probabilities.model_dump().values()) == pytest.approx(1, abs=1e-3)


def test_a_model_names_another_that_can() -> None:
    with pytest.raises(ModelNotSupportedError, match="nuclei-128"):
        load("emoji-64").segment(Image.new("RGB", (64, 64)))
    with pytest.raises(ModelNotSupportedError, match="segment"):
        load("nuclei-128").generate("red heart")

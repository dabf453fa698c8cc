"""The bundled model knows the sample leaves, and what is none."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps

from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.tasks.analyze import LeafAnalyzer

INPUTS = Path(__file__).parents[5] / "examples" / "inputs"


@pytest.fixture(scope="module")
def analyzer() -> LeafAnalyzer:
    return LeafAnalyzer(OptimizationPipeline.from_preset("potato-leaf-128").task("analyze").model)


@pytest.mark.parametrize("disease", ["early_blight", "late_blight"])
def test_sample_leaves(analyzer: LeafAnalyzer, disease: str) -> None:
    photo = Image.open(INPUTS / f"potato_{disease}.jpg")
    report = analyzer.analyze(photo, num_inference_steps=10).report
    assert report.finding == disease
    assert report.severity is not None
    assert report.severity > 0.01


def test_a_large_photo_with_the_leaf_in_a_corner(analyzer: LeafAnalyzer) -> None:
    leaf = Image.open(INPUTS / "potato_late_blight.jpg").convert("RGB").resize((500, 500))
    ground = leaf.getpixel((3, 3))
    photo = ImageOps.expand(leaf, (900, 40, 60, 300), fill=ground)
    report = analyzer.analyze(photo, method="fast").report
    assert report.finding == "late_blight"
    assert report.leaf_box.right - report.leaf_box.left < 700


def test_noise_and_text_are_no_leaves(analyzer: LeafAnalyzer) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    page = Image.new("RGB", (400, 500), (250, 250, 245))
    font = ImageFont.load_default(size=16)
    for y in range(20, 480, 24):
        ImageDraw.Draw(page).text((20, y), "nothing here grows on a field", "black", font)
    for picture in (Image.fromarray(noise), page):
        assert analyzer.analyze(picture, method="fast").report.finding == "not_sure"

"""Bad photos and foreign pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.uses.leaf_sets import CORRUPTIONS, foreign_pictures


@pytest.fixture
def photo() -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    return Image.fromarray(pixels).resize((128, 128), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_corruptions_keep_the_size_and_follow_the_seed(name: str, photo: Image.Image) -> None:
    first, second = (CORRUPTIONS[name](photo, np.random.default_rng(3)) for _ in range(2))
    assert (first.size, first.mode) == ((128, 128), "RGB")
    assert np.array_equal(np.asarray(first), np.asarray(second))
    assert np.array_equal(np.asarray(first), np.asarray(photo)) == (name == "clean")


def test_dim_light_is_a_third(photo: Image.Image) -> None:
    dim = np.asarray(CORRUPTIONS["dim_light"](photo, np.random.default_rng(0)), float)
    assert dim.mean() / np.asarray(photo, float).mean() == pytest.approx(0.33, abs=0.02)


def test_pages_need_no_files(tmp_path: Path) -> None:
    sets = foreign_pictures(tmp_path, 3)
    assert list(sets) == ["text_pages"]
    assert len(sets["text_pages"]) == 3


def test_pictures_of_a_folder_are_found(tmp_path: Path, photo: Image.Image) -> None:
    (tmp_path / "photos").mkdir()
    photo.save(tmp_path / "photos" / "a.png")
    np.savez(tmp_path / "nuclei_dsb2018_128.npz", images=np.zeros((5, 128, 128, 3), np.uint8))
    sets = foreign_pictures(tmp_path, 2)
    assert {kind: len(found) for kind, found in sets.items()} == {
        "nuclei": 2,
        "photos": 1,
        "text_pages": 2,
    }

"""Finding the leaf by colour."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from nvfp4_ddim_optimizer.tasks.analyze.leaf import crop_leaf, leaf_mask


def test_the_mask_is_the_leaf_with_its_spot(leaf: Image.Image) -> None:
    mask = leaf_mask(leaf)
    truth = np.zeros((160, 200), bool)
    y, x = np.mgrid[:160, :200]
    truth = ((x - 100) / 40) ** 2 + ((y - 85) / 45) ** 2 <= 1
    assert (mask & truth).sum() / (mask | truth).sum() > 0.9
    assert mask[85, 100]  # the spot


def test_a_grey_spot_inside_is_filled(leaf: Image.Image) -> None:
    ImageDraw.Draw(leaf).rectangle((95, 60, 110, 72), fill=(120, 120, 125))
    assert leaf_mask(leaf)[66, 102]


def test_specks_outside_are_left_out(leaf: Image.Image) -> None:
    ImageDraw.Draw(leaf).rectangle((5, 5, 20, 20), fill=(40, 160, 40))
    mask = leaf_mask(leaf)
    assert not mask[10, 10]
    assert mask[85, 80]


def test_the_crop_is_square_around_the_leaf(leaf: Image.Image) -> None:
    crop = crop_leaf(leaf, 64)
    assert crop.image.size == (64, 64)
    assert crop.mask.shape == (64, 64)
    left, top, right, bottom = crop.box
    assert right - left == bottom - top
    assert left <= 60
    assert right >= 140
    assert top <= 40
    assert bottom >= 130
    assert crop.share == pytest.approx(np.pi * 40 * 45 / (200 * 160), rel=0.1)
    assert 0.4 < crop.mask.mean() < 0.9


def test_a_leaf_at_the_edge_is_not_stretched() -> None:
    image = Image.new("RGB", (300, 100), (140, 138, 150))
    ImageDraw.Draw(image).rectangle((0, 0, 20, 99), fill=(60, 130, 50))
    crop = crop_leaf(image, 64)
    assert crop.box[0] < 0
    columns = crop.mask.any(axis=0).sum()
    rows = crop.mask.any(axis=1).sum()
    assert rows > columns


def test_a_picture_without_leaf_colours_has_share_0() -> None:
    crop = crop_leaf(Image.new("RGB", (90, 50), (90, 90, 100)), 64)
    assert crop.share == 0
    assert not crop.mask.any()
    assert crop.image.size == (64, 64)


@settings(max_examples=25, deadline=None)
@given(st.integers(32, 400), st.integers(32, 400), st.integers(0, 2**32 - 1))
def test_any_picture_gives_a_crop(width: int, height: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    crop = crop_leaf(Image.fromarray(pixels).resize((width, height)), 64)
    assert crop.image.size == (64, 64)
    assert crop.mask.shape == (64, 64)
    assert 0 <= crop.share <= 1

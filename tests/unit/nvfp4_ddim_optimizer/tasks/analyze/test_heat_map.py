"""Maps, severity and pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from nvfp4_ddim_contracts.tasks.analyze import SeverityLevel
from nvfp4_ddim_optimizer.tasks.analyze.heat_map import (
    affected_pixels,
    heat_map,
    level_of,
    paint_heat,
    paint_overlay,
    redness,
)


def test_heat_is_where_the_disease_fits_better() -> None:
    maps = torch.ones(3, 8, 8)
    maps[1, :, 4:] = 0.5  # label 1 predicts the right half better
    heat = heat_map(maps, 0, 1, 64)
    assert heat.shape == (64, 64)
    assert heat[:, 48:].min() > 0.4
    assert abs(heat[:, :20]).max() < 0.1
    assert heat_map(maps, 0, 2, 64) == pytest.approx(0, abs=1e-6)


def test_redness_tells_green_from_brown() -> None:
    colours = {"green": (60, 130, 50), "grey": (90, 90, 90), "brown": (120, 80, 50)}
    index = {k: float(redness(Image.new("RGB", (8, 8), c)).mean()) for k, c in colours.items()}
    assert index["green"] < -0.2
    assert index["grey"] == 0
    assert index["brown"] > 0.1


def test_affected_pixels_are_leaf_hot_and_red() -> None:
    photo = Image.new("RGB", (40, 40), (60, 130, 50))
    photo.paste((120, 80, 50), (10, 0, 30, 40))  # brown across the middle
    heat = np.zeros((40, 40), np.float32)
    heat[:20] = 1  # hot above
    leaf = np.zeros((40, 40), bool)
    leaf[:, :20] = True  # leaf on the left
    affected = affected_pixels(photo, heat, leaf, 0.5, 0.0)
    expected = np.zeros((40, 40), bool)
    expected[:20, 10:20] = True
    assert (affected != expected).mean() < 0.02


@pytest.mark.parametrize(
    ("share", "level"),
    [
        (0.0, SeverityLevel.NONE),
        (0.02, SeverityLevel.SLIGHT),
        (0.2, SeverityLevel.MODERATE),
        (0.25, SeverityLevel.SEVERE),
        (1.0, SeverityLevel.SEVERE),
    ],
)
def test_levels(share: float, level: SeverityLevel) -> None:
    assert level_of(share) is level


def test_pictures() -> None:
    heat = np.zeros((64, 64), np.float32)
    heat[20:40, 20:40] = 3
    leaf = np.ones((64, 64), bool)
    leaf[30:] = False
    picture = paint_heat(heat, leaf, 1)
    assert picture.getpixel((0, 0)) == (0, 0, 0)
    assert picture.getpixel((25, 25)) == (255, 255, 220)
    assert picture.getpixel((25, 35)) == (0, 0, 0)  # off the leaf
    photo = Image.new("RGB", (64, 64), (60, 130, 50))
    overlay = paint_overlay(photo, heat > 1)
    assert overlay.getpixel((0, 0)) == (60, 130, 50)
    assert overlay.getpixel((17, 25)) == (255, 255, 255)  # the outline
    red, green, _ = overlay.getpixel((30, 30))
    assert red > 140
    assert green < 80
    assert photo.getpixel((30, 30)) == (60, 130, 50)  # left alone

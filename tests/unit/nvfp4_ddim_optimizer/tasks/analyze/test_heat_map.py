"""Maps, severity and pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from nvfp4_ddim_contracts.tasks.analyze import SeverityLevel
from nvfp4_ddim_optimizer.tasks.analyze.heat_map import (
    affected_share,
    heat_map,
    level_of,
    paint_heat,
    paint_overlay,
)


def test_heat_is_where_the_disease_fits_better() -> None:
    maps = torch.ones(3, 8, 8)
    maps[1, :, 4:] = 0.5  # label 1 predicts the right half better
    heat = heat_map(maps, 0, 1, 64)
    assert heat.shape == (64, 64)
    assert heat[:, 48:].min() > 0.4
    assert abs(heat[:, :20]).max() < 0.1
    assert heat_map(maps, 0, 2, 64) == pytest.approx(0, abs=1e-6)


def test_share_counts_leaf_pixels_only() -> None:
    heat = np.zeros((10, 10), np.float32)
    heat[:, :5] = 1
    leaf = np.zeros((10, 10), bool)
    leaf[:, 4:8] = True
    assert affected_share(heat, leaf, 0.5) == pytest.approx(0.25)
    assert affected_share(heat, np.zeros_like(leaf), 0.5) == 0


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
    heat[20:40, 20:40] = 2
    leaf = np.ones((64, 64), bool)
    photo = Image.new("RGB", (64, 64), (60, 130, 50))
    assert paint_heat(heat, 1).getpixel((0, 0)) == (0, 0, 0)
    assert paint_heat(heat, 1).getpixel((30, 30)) == (250, 140, 0)
    overlay = paint_overlay(photo, heat, leaf, 1)
    assert overlay.getpixel((0, 0)) == (60, 130, 50)
    assert overlay.getpixel((20, 20)) == (255, 255, 255)  # the outline
    red, green, _ = overlay.getpixel((30, 30))
    assert red > 140
    assert green < 80
    assert photo.getpixel((30, 30)) == (60, 130, 50)  # left alone

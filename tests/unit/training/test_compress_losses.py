"""The codec's loss sees what was wrong with pictures that other measures liked."""

import pytest
import torch
from torch import Tensor

from training.compress.losses import visible_distance


@pytest.fixture
def picture() -> Tensor:
    """[1, 3, 128, 128]: a slope with a disc on it."""
    row = torch.linspace(-0.3, 0.3, 128)
    y, x = torch.meshgrid(row, row, indexing="ij")
    disc = ((x**2 + y**2) < 0.02).float() * 0.2
    return torch.stack([x + disc, x - disc, y])[None].clamp(-0.5, 0.5)


def _distance(shown: Tensor, original: Tensor) -> float:
    return float(visible_distance(shown, original))


def test_nothing_is_visible_where_nothing_differs(picture: Tensor) -> None:
    assert _distance(picture, picture) == pytest.approx(0, abs=1e-6)


def test_each_picture_has_its_own_distance(picture: Tensor) -> None:
    both = torch.cat([picture, picture])
    shown = torch.cat([picture, picture + 0.1 * torch.randn_like(picture)])
    distances = visible_distance(shown, both)
    assert distances.shape == (2,)
    assert float(distances[0]) < 1e-6 < float(distances[1])


def test_a_wrong_colour_of_the_same_luma_is_seen(picture: Tensor) -> None:
    tint = torch.tensor([0.05, -0.05 * 0.299 / 0.587, 0.0]).view(1, 3, 1, 1)
    assert _distance(picture + tint, picture) > 0.01


def test_a_grid_of_single_pixels_is_seen(picture: Tensor) -> None:
    checks = torch.arange(128).view(-1, 1) + torch.arange(128)
    assert _distance(picture + 0.03 * (-1.0) ** checks, picture) > 0.05


def test_what_is_added_costs_more_than_what_is_left_out(picture: Tensor) -> None:
    grain = 0.05 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    assert _distance(picture + grain, picture) > _distance(picture, picture + grain)

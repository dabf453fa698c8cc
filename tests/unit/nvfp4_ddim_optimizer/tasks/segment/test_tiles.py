import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.tasks.segment.tiles import TilePlan, orient, orient_back


@given(st.integers(1, 300), st.integers(1, 300))
def test_tiles_cover_every_pixel_and_overlap(height: int, width: int) -> None:
    plan = TilePlan.cover(height, width, 64)
    for length, starts in ((height, plan.tops), (width, plan.lefts)):
        assert starts[0] == 0
        assert starts[-1] + 64 == max(length, 64)
        assert all(b - a <= 48 for a, b in itertools.pairwise(starts))
    assert len(plan.corners) == len(plan)


@given(st.integers(1, 150), st.integers(1, 150))
def test_blending_equal_tiles_changes_nothing(height: int, width: int) -> None:
    image = np.random.default_rng(0).random((1, height, width), np.float32)
    plan = TilePlan.cover(height, width, 32)
    padded = plan.pad(image)
    total, weights = np.zeros(padded.shape[1:]), np.zeros(padded.shape[1:])
    for corner in plan.corners:
        area = tuple(slice(start, start + 32) for start in corner)
        total[area] += plan.weight() * plan.cut(padded, corner)[0].numpy()
        weights[area] += plan.weight()
    blended = (total / weights)[:height, :width]
    np.testing.assert_allclose(blended, image[0], rtol=1e-5)


@pytest.mark.parametrize("orientation", range(8))
def test_orientations_are_undone(orientation: int) -> None:
    image = torch.arange(2 * 5 * 5).reshape(2, 5, 5)
    assert torch.equal(orient_back(orient(image, orientation), orientation), image)


def test_there_are_eight_orientations() -> None:
    image = torch.arange(9).reshape(3, 3)
    assert len({tuple(orient(image, k).flatten().tolist()) for k in range(8)}) == 8

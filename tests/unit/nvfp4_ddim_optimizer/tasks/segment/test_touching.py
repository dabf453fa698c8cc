import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from nvfp4_ddim_optimizer.tasks.segment.touching import part_touching


def _discs(*centres: tuple[int, int], radius: float = 8, side: int = 48) -> np.ndarray:
    row, column = np.mgrid[:side, :side]
    return np.any([(row - y) ** 2 + (column - x) ** 2 <= radius**2 for y, x in centres], axis=0)


@pytest.mark.parametrize("apart", [13, 15, 17])
def test_discs_that_touch_are_parted_at_the_neck(apart: int) -> None:
    labels = part_touching(_discs((20, 10), (20, 10 + apart)))
    assert labels.max() == 2
    assert labels[20, 8] != labels[20, 12 + apart]
    areas = np.bincount(labels.ravel())[1:]
    assert abs(int(areas[0]) - int(areas[1])) <= 16


def test_a_chain_of_three_has_three_parts() -> None:
    assert part_touching(_discs((20, 9), (20, 23), (20, 37))).max() == 3


@pytest.mark.parametrize("shape", [(8, 8), (6, 14), (4, 20)])
def test_ellipses_and_bars_stay_whole(shape: tuple[int, int]) -> None:
    row, column = np.mgrid[:48, :48] - 24
    ellipse = (row / shape[0]) ** 2 + (column / shape[1]) ** 2 <= 1
    assert part_touching(ellipse).max() == 1
    bar = np.zeros((48, 48), bool)
    bar[20:26, 5:43] = True
    assert part_touching(bar).max() == 1


def test_a_nucleus_cut_by_the_border_stays_whole() -> None:
    assert part_touching(_discs((2, 20))).max() == 1


def test_without_a_neck_pieces_are_what_is_connected() -> None:
    mask = _discs((20, 10), (20, 24))
    assert part_touching(mask, neck=0).max() == 1


def test_an_empty_mask_has_no_pieces() -> None:
    assert not part_touching(np.zeros((5, 7), bool)).any()


@given(arrays.arrays(bool, st.tuples(st.integers(1, 24), st.integers(1, 24))))
def test_parts_cover_the_mask_and_none_reaches_over_two_pieces(mask: np.ndarray) -> None:
    labels = part_touching(mask)
    assert ((labels > 0) == mask).all()
    pieces, count = ndimage.label(mask, np.ones((3, 3)))
    assert labels.max() >= count
    for part in range(1, labels.max() + 1):
        inside = labels == part
        assert len(np.unique(pieces[inside])) == 1
        assert ndimage.label(inside, np.ones((3, 3)))[1] == 1

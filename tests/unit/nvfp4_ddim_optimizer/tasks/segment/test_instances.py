import csv
from io import StringIO

import numpy as np
import pytest

from nvfp4_ddim_optimizer.tasks.segment.instances import (
    draw_overlay,
    find_instances,
    instances_csv,
)


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((12, 12), bool)
    mask[1:4, 1:5] = True  # 12 pixels
    mask[6, 6] = mask[7, 7] = True  # touch at a corner: one piece of 2
    mask[10, 1] = True  # 1 pixel
    return mask


def test_pieces_have_areas_and_centres(mask: np.ndarray) -> None:
    doubt = np.full(mask.shape, 0.25, np.float32)
    labels, found = find_instances(mask, doubt, min_area=2, slice_index=3, pixel_mm2=0.5)
    assert [each.area_px for each in found] == [12, 2]
    assert [each.area_mm2 for each in found] == [6.0, 1.0]
    assert (found[0].row, found[0].column, found[0].slice) == (2.0, 2.5, 3)
    assert found[0].uncertainty == pytest.approx(0.25)
    assert labels[10, 1] == 0
    assert [(labels == each.label).sum() for each in found] == [12, 2]


def test_an_empty_mask_has_no_pieces() -> None:
    labels, found = find_instances(np.zeros((5, 5), bool), np.zeros((5, 5), np.float32), min_area=1)
    assert found == []
    assert not labels.any()


def test_the_table_has_a_row_for_each_piece(mask: np.ndarray) -> None:
    _, found = find_instances(mask, np.zeros(mask.shape, np.float32), min_area=1)
    rows = list(csv.DictReader(StringIO(instances_csv(found).decode())))
    assert [int(row["area_px"]) for row in rows] == [each.area_px for each in found]
    assert rows[0]["area_mm2"] == ""


def test_the_overlay_marks_edges_and_doubt(mask: np.ndarray) -> None:
    grey, doubt = np.full((12, 12, 3), 0.5, np.float32), np.zeros((12, 12), np.float32)
    doubt[9, 9] = 1
    drawn = np.asarray(draw_overlay(grey, mask, doubt))
    assert drawn.shape == (12, 12, 3)
    assert tuple(drawn[1, 1]) == (255, 210, 0)
    assert tuple(drawn[2, 2]) == (128, 128, 128)  # inside the outline
    assert drawn[9, 9, 0] > drawn[9, 9, 1]

import math
from collections.abc import Callable

import pytest
import torch

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.metrics import cosine_distance, euclidean_distance

Metric = Callable[..., torch.Tensor]

FIRST = torch.tensor([[3.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
SECOND = torch.tensor([[3.0, 4.0], [0.0, 1.0], [-5.0, 0.0]])


def test_euclidean_distance_is_the_length_of_the_difference() -> None:
    assert euclidean_distance(FIRST, SECOND).tolist() == pytest.approx([4, math.sqrt(2), 7])


def test_cosine_distance_depends_on_the_angle_alone() -> None:
    assert cosine_distance(FIRST, SECOND).tolist() == pytest.approx([1 - 3 / 5, 1, 2])


@pytest.mark.parametrize("distance", [cosine_distance, euclidean_distance])
@pytest.mark.parametrize("shape", [(3, 3), (2, 2), (3, 2, 1)])
def test_refuses_what_is_not_paired(distance: Metric, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match="paired features"):
        distance(FIRST, torch.zeros(shape))

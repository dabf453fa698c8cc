"""Distances between the features of paired pictures."""

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["cosine_distance", "euclidean_distance"]


def euclidean_distance(first: Tensor, second: Tensor) -> Tensor:
    """Length of the difference of each pair.

    Args:
        first: [N, D] floating.
        second: [N, D] floating.

    Returns:
        [N] float64.

    Raises:
        InvalidInputError: The shapes differ, or they are no [N, D].
    """
    _check_pairs(first, second)
    distance: Tensor = torch.linalg.vector_norm(first.double() - second.double(), dim=1)
    return distance


def cosine_distance(first: Tensor, second: Tensor) -> Tensor:
    """1 - cosine of the angle of each pair: 0 for the same direction, 2 for the opposite one.

    Args:
        first: [N, D] floating, no row all zero.
        second: [N, D] floating, no row all zero.

    Returns:
        [N] float64.

    Raises:
        InvalidInputError: The shapes differ, or they are no [N, D].
    """
    _check_pairs(first, second)
    return 1 - torch.nn.functional.cosine_similarity(first.double(), second.double(), dim=1)


def _check_pairs(first: Tensor, second: Tensor) -> None:
    if first.ndim != 2 or first.shape != second.shape:
        raise InvalidInputError(
            f"paired features must be two [N, D] of one shape, "
            f"not {list(first.shape)} and {list(second.shape)}"
        )

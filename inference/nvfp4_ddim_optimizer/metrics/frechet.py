"""Fréchet distance between two sets of feature vectors, each taken as a Gaussian distribution.

With features of an Inception network this is known as FID; with any other network it is a distance
of its own and must be called by that network's name. It is biased upwards for few samples (by
about 1/N), so only sets of the same size can be compared.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["FeatureStatistics", "frechet_distance"]


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """Mean and covariance of a set of features.

    Attributes:
        mean: [D] float64.
        covariance: [D, D] float64, symmetric, no eigenvalue below 0 but for rounding.
    """

    mean: Tensor
    covariance: Tensor

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together."""
        d = self.mean.numel()
        if self.mean.shape != (d,) or self.covariance.shape != (d, d):
            raise InvalidInputError(
                f"a mean [D] and a covariance [D, D] are wanted, "
                f"not {list(self.mean.shape)} and {list(self.covariance.shape)}"
            )

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """Estimate from samples.

        Args:
            features: [N, D] floating, N >= 2.

        Raises:
            InvalidInputError: There are fewer than two samples.
        """
        if features.ndim != 2 or features.shape[0] < 2:
            raise InvalidInputError(
                f"features [N, D] with N >= 2 are wanted, not {list(features.shape)}"
            )
        samples = features.double()
        mean = samples.mean(dim=0)
        centred = samples - mean
        return cls(mean, centred.T @ centred / (samples.shape[0] - 1))

    @cached_property
    def root(self) -> Tensor:
        """The symmetric square root of the covariance, [D, D] float64."""
        values, vectors = torch.linalg.eigh(self.covariance)
        root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
        return root


def frechet_distance(reference: FeatureStatistics, other: FeatureStatistics) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).

    The trace of (C1 C2)^(1/2) is that of (R C2 R)^(1/2) with R = C1^(1/2). That matrix is
    symmetric, so its eigenvalues are real, and singular covariances (fewer samples than features)
    do no harm.

    Args:
        reference: Its `root` is kept, so pass here what many sets are compared with.
        other: Of the same D.

    Returns:
        The squared distance, as is the custom; never negative.

    Raises:
        InvalidInputError: The sets have different numbers of features.

    Source: Dowson & Landau 1982, "The Fréchet distance between multivariate normal distributions";
        Heusel et al. 2017 (arXiv:1706.08500), eq. 6.
    """
    if reference.mean.shape != other.mean.shape:
        raise InvalidInputError(
            f"the sets have {reference.mean.numel()} and {other.mean.numel()} features"
        )
    product = reference.root @ other.covariance @ reference.root
    eigenvalues = torch.linalg.eigvalsh((product + product.T) / 2)
    coupling = eigenvalues.clamp(min=0).sqrt().sum()
    shift = (reference.mean - other.mean).square().sum()
    spread = reference.covariance.trace() + other.covariance.trace() - 2 * coupling
    return max(float(shift + spread), 0.0)

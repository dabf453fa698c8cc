"""Numbers from two sets of samples: full precision, and the same start noise with other weights.

The Fréchet distance uses features of EfficientNet-Lite0 (ImageNet), so it is not FID and its values
can't be compared with published FIDs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.metrics import (
    FeatureStatistics,
    cosine_distance,
    euclidean_distance,
    frechet_distance,
    psnr,
    ssim,
)

from .samples import SampleSet

__all__ = ["Comparison", "Judge"]

_RESAMPLES = 10


@dataclass(frozen=True)
class Comparison:
    """A set of samples beside full precision's of the same steps.

    Attributes:
        samples: In each set.
        frechet: Fréchet distance to the real pictures.
        frechet_fp: The same of full precision.
        delta_percent: How much larger `frechet` is than `frechet_fp`.
        delta_error: Bootstrap standard error of `delta_percent`, in percentage points.
        frechet_between: Fréchet distance between the two sets.
        feature_l2: Mean distance between paired features.
        feature_cosine: Mean of 1 - cosine between paired features.
        psnr_db: Median over pairs.
        ssim: Mean over pairs.
    """

    samples: int
    frechet: float
    frechet_fp: float
    delta_percent: float
    delta_error: float
    frechet_between: float
    feature_l2: float
    feature_cosine: float
    psnr_db: float
    ssim: float


class Judge:
    """Compares sets with the real pictures of one model, and with each other."""

    def __init__(self, reference: SampleSet) -> None:
        self._real = FeatureStatistics.of(reference.features)
        self._resampled: dict[tuple[int, float], Tensor] = {}

    def frechet(self, samples: SampleSet) -> float:
        """Fréchet distance to the real pictures."""
        return frechet_distance(self._real, FeatureStatistics.of(samples.features))

    def compare(self, exact: SampleSet, other: SampleSet) -> Comparison:
        """Compare the pairs that both sets have.

        Args:
            exact: Samples in full precision.
            other: Samples from the same start noise, or other noise to see what chance does.
        """
        count = min(len(exact), len(other))
        first, second = exact.features[:count], other.features[:count]
        statistics = [FeatureStatistics.of(part) for part in (first, second)]
        frechet_fp, frechet = (frechet_distance(self._real, part) for part in statistics)
        deltas = 100 * (self._resample(second) / self._resample(first) - 1)
        images = exact.images[:count], other.images[:count]
        return Comparison(
            samples=count,
            frechet=frechet,
            frechet_fp=frechet_fp,
            delta_percent=100 * (frechet / frechet_fp - 1),
            delta_error=float(deltas.std()),
            frechet_between=frechet_distance(*statistics),
            feature_l2=float(euclidean_distance(first, second).mean()),
            feature_cosine=float(cosine_distance(first, second).mean()),
            psnr_db=float(psnr(*images, peak=255).median()),
            ssim=float(ssim(*images, peak=255).mean()),
        )

    def _resample(self, features: Tensor) -> Tensor:
        """Fréchet distances of samples drawn again with replacement, [R] float64.

        The draws depend on the number of samples alone, so that pairs stay pairs and what chance
        does to both sets cancels.
        """
        key = features.shape[0], float(features.double().sum())
        if key not in self._resampled:
            generator = torch.Generator().manual_seed(0)
            draws = [
                torch.randint(features.shape[0], (features.shape[0],), generator=generator)
                for _ in range(_RESAMPLES)
            ]
            distances = [
                frechet_distance(self._real, FeatureStatistics.of(features[draw])) for draw in draws
            ]
            self._resampled[key] = torch.tensor(distances, dtype=torch.float64)
        return self._resampled[key]

import math

import pytest
import torch

from benchmarks.evaluation.comparison import Judge
from benchmarks.evaluation.samples import SampleSet


def gaussian(count: int, seed: int, spread: float = 1.0) -> SampleSet:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)
    return SampleSet(images, 3 + spread * torch.randn(count, 8, generator=generator))


def test_a_set_beside_itself_differs_in_nothing() -> None:
    exact = gaussian(100, 1)
    found = Judge(gaussian(80, 0)).compare(exact, exact)
    assert found.samples == 100
    assert found.frechet == found.frechet_fp > 0
    assert found.delta_percent == found.delta_error == found.feature_l2 == 0
    assert found.frechet_between == pytest.approx(0, abs=1e-6)
    assert (found.psnr_db, found.ssim) == (math.inf, pytest.approx(1))


def test_pairs_beyond_the_shorter_set_do_not_count() -> None:
    exact, other = gaussian(100, 1), gaussian(60, 2)
    found = Judge(gaussian(80, 0)).compare(exact, other)
    assert found.samples == 60
    first = SampleSet(exact.images[:60], exact.features[:60])
    assert found == Judge(gaussian(80, 0)).compare(first, other)


def test_a_wider_set_is_farther_from_the_real_one_beyond_its_standard_error() -> None:
    exact = gaussian(500, 1)
    wider = SampleSet(exact.images, 3 + 1.2 * (exact.features - 3))
    found = Judge(gaussian(2000, 0)).compare(exact, wider)
    assert found.delta_percent > 3 * found.delta_error > 0


def test_pairing_makes_the_standard_error_small() -> None:
    exact = gaussian(300, 1)
    near = SampleSet(exact.images, exact.features + 0.01 * gaussian(300, 5).features)
    judge = Judge(gaussian(300, 0))
    assert (
        judge.compare(exact, near).delta_error
        < 0.3 * judge.compare(exact, gaussian(300, 9)).delta_error
    )

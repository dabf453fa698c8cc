import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.metrics import FeatureStatistics, frechet_distance


def statistics(mean: list[float], covariance: list[list[float]]) -> FeatureStatistics:
    return FeatureStatistics(
        torch.tensor(mean, dtype=torch.float64), torch.tensor(covariance, dtype=torch.float64)
    )


def test_of_two_normal_distributions_on_a_line() -> None:
    # (m1 - m2)^2 + (s1 - s2)^2
    first, second = statistics([1.0], [[4.0]]), statistics([4.0], [[9.0]])
    assert frechet_distance(first, second) == pytest.approx(9 + 1)


def test_of_covariances_that_do_not_commute() -> None:
    # tr (AB)^(1/2) of 2x2 matrices: sqrt(tr AB + 2 sqrt(det A det B)).
    a, b = [[2.0, 0.5], [0.5, 1.0]], [[1.0, -0.3], [-0.3, 3.0]]
    trace_of_product = 2 * 1 + 2 * (0.5 * -0.3) + 1 * 3
    determinants = (2 - 0.25) * (3 - 0.09)
    coupling = math.sqrt(trace_of_product + 2 * math.sqrt(determinants))
    distance = frechet_distance(statistics([0.0, 0.0], a), statistics([0.0, 2.0], b))
    assert distance == pytest.approx(4 + 3 + 4 - 2 * coupling)


def test_of_a_set_shifted_as_a_whole() -> None:
    features = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    shift = torch.arange(6.0)
    distance = frechet_distance(
        FeatureStatistics.of(features), FeatureStatistics.of(features + shift)
    )
    assert distance == pytest.approx(float(shift.square().sum()), rel=1e-6)


@given(seed=st.integers(0, 1000), samples=st.integers(2, 12))
def test_is_symmetric_and_zero_for_equal_sets_also_where_covariances_are_singular(
    seed: int, samples: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    first = FeatureStatistics.of(torch.randn(samples, 8, generator=generator))
    second = FeatureStatistics.of(torch.randn(samples, 8, generator=generator) * 2 + 1)
    there, back = frechet_distance(first, second), frechet_distance(second, first)
    assert there == pytest.approx(back, rel=1e-5, abs=1e-5)
    assert there > 0
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-5)


def test_statistics_are_those_of_the_samples() -> None:
    features = torch.tensor([[1.0, 2.0], [3.0, 2.0], [5.0, 8.0]])
    found = FeatureStatistics.of(features)
    assert found.mean.tolist() == [3, 4]
    assert torch.equal(found.covariance, torch.cov(features.double().T))


def test_refuses_what_is_no_set() -> None:
    with pytest.raises(InvalidInputError, match="N >= 2"):
        FeatureStatistics.of(torch.zeros(1, 4))
    with pytest.raises(InvalidInputError, match=r"\[D, D\]"):
        statistics([0.0], [[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(InvalidInputError, match="1 and 2 features"):
        frechet_distance(
            statistics([0.0], [[1.0]]), statistics([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])
        )

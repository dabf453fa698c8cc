import pytest

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.tasks.compress.rate_control import Budget, search_step


def _search(budget: Budget, wobble: int = 0, scale: float = 100.0) -> int:
    """Sizes grow by 3 % an index; the estimate is 3 % off, and sizes wobble."""

    def size(index: int) -> int:
        return int(scale * 1.03**index) + (wobble if index % 2 else -wobble)

    return search_step(budget, 191, lambda i: size(i) * 1.03, lambda i: (size(i), size(i)))


@pytest.mark.parametrize("bitrate", [0.02, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("strict", [False, True])
def test_the_size_is_met(bitrate: float, *, strict: bool) -> None:
    budget = Budget.of(bitrate, 768, 512, strict=strict)
    size = _search(budget)
    assert size <= budget.limit
    assert abs(size - budget.target) <= 0.05 * budget.target


def test_strict_exceeds_by_a_byte_a_kilobyte_at_most() -> None:
    assert Budget.of(0.1, 768, 512, strict=True).limit == 4915 + 4
    assert Budget.of(0.1, 64, 64, strict=True).limit == 51
    assert Budget.of(0.1, 768, 512, strict=False).limit == 5160


def test_sizes_that_are_not_monotonic_stay_within_the_limit() -> None:
    budget = Budget.of(0.1, 768, 512, strict=True)
    for wobble in (5, 30, 60):
        assert _search(budget, wobble) <= budget.limit


def test_what_never_grows_large_is_coded_at_its_best() -> None:
    assert _search(Budget.of(8.0, 768, 512, strict=False)) == int(100 * 1.03**191)


def test_what_does_not_fit_is_refused_with_its_smallest_size() -> None:
    with pytest.raises(InvalidInputError, match=r"100 bytes at the least.*allows 51"):
        _search(Budget.of(0.1, 64, 64, strict=True))

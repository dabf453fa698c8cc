"""Find the settings whose file has the size that was asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["Budget", "search_step"]

T = TypeVar("T")

TOLERANCE = 0.05
"""A file may miss the size asked for by this share of it."""

_NEIGHBOURS = 3


@dataclass(frozen=True)
class Budget:
    """How large a file may be.

    Attributes:
        target: Bytes asked for.
        limit: Bytes that it may have at most.
    """

    target: float
    limit: int

    @classmethod
    def of(cls, target_bitrate: float, width: int, height: int, *, strict: bool) -> "Budget":
        """The budget of a picture.

        Args:
            target_bitrate: Bits a pixel.
            width: Pixels.
            height: Pixels.
            strict: Exceed the target by at most 1 byte a kilobyte, instead of 5 %.
        """
        target = target_bitrate * width * height / 8
        limit = int(target) + int(target) // 1000 if strict else int(target * (1 + TOLERANCE))
        return cls(target, limit)


@dataclass(frozen=True)
class _Tried(Generic[T]):
    size: int
    result: T


def search_step(
    budget: Budget,
    highest: int,
    estimate: Callable[[int], float],
    encode: Callable[[int], tuple[int, T]],
) -> T:
    """The encoding whose size is nearest to the target among those within the limit.

    Sizes grow with the index, though not strictly: after a bisection by estimates, files of some
    neighbouring indices are really made.

    Args:
        budget: Sizes wanted and allowed.
        highest: Indices are 0 … highest.
        estimate: About how many bytes an index gives.
        encode: The size and the encoding of an index.

    Raises:
        InvalidInputError: Even index 0 is too large.
    """
    low, high = 0, highest
    while low < high:
        middle = (low + high + 1) // 2
        if estimate(middle) <= budget.target:
            low = middle
        else:
            high = middle - 1
    tried: dict[int, _Tried[T]] = {}

    def size(index: int) -> int:
        if index not in tried:
            tried[index] = _Tried(*encode(index))
        return tried[index].size

    index = low
    while index > 0 and size(index) > budget.limit:
        index -= 1
    for above in range(index + 1, min(index + _NEIGHBOURS, highest) + 1):
        if size(above) > budget.target:
            break
    size(index)
    fitting = [each for each in tried.values() if each.size <= budget.limit]
    if not fitting:
        raise InvalidInputError(
            f"the picture takes {tried[0].size} bytes at the least, and the target bit rate "
            f"allows {budget.limit}: ask for a higher bit rate"
        )
    return min(fitting, key=lambda each: abs(each.size - budget.target)).result

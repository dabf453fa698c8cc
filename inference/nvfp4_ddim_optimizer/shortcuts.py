"""Ways to spend fewer operations on a picture, at a price in exactness that is measured.

| option                | what is left out                                             |
| --------------------- | ------------------------------------------------------------ |
| `cache_interval`      | the deep part of the UNet, in N - 1 of N steps (DeepCache)   |
| `guidance_interval`   | the unconditional pass, in the steps outside of the interval |
| `token_merging_ratio` | attention of tokens that resemble another one (ToMe)         |

What each costs and saves is in docs/benchmarks, topic "operations".
"""

from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from nvfp4_ddim_contracts.generation import MAX_CACHE_INTERVAL, MAX_TOKEN_MERGING_RATIO
from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["Shortcuts"]


@dataclass(frozen=True)
class Shortcuts:
    """Which operations a sampling run leaves out. The defaults leave out none.

    Attributes:
        cache_interval: N: the UNet runs whole in every N-th step; between, only its outermost
            layers do, on the deep features of the last whole run. 1 runs it whole always.
        guidance_interval: (start, stop), fractions of the steps, 0 to 1: guidance acts from step
            int(start * steps) to before step int(stop * steps); outside, the model follows the
            prompt alone, which takes half the work.
        token_merging_ratio: Share of the tokens, 0 to 0.75, that self-attention at the latent's
            full resolution merges into similar ones. Saves time from latents of 32 x 32 on.
    """

    cache_interval: int = 1
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    token_merging_ratio: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            InvalidInputError: A value lies out of range.
        """
        n = self.cache_interval
        if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= MAX_CACHE_INTERVAL:
            raise InvalidInputError(
                f"cache_interval must be a whole number in [1, {MAX_CACHE_INTERVAL}], not {n!r}"
            )
        start, stop = _pair(self.guidance_interval)
        if not 0 <= start <= stop <= 1:
            raise InvalidInputError(
                "guidance_interval must be fractions of the steps, 0 <= start <= stop <= 1, not "
                f"({start:g}, {stop:g})"
            )
        ratio = self.token_merging_ratio
        if not (isfinite(ratio) and 0 <= ratio <= MAX_TOKEN_MERGING_RATIO):
            raise InvalidInputError(
                f"token_merging_ratio must lie in [0, {MAX_TOKEN_MERGING_RATIO}], not {ratio}"
            )
        object.__setattr__(self, "guidance_interval", (start, stop))

    @property
    def are_exact(self) -> bool:
        """Whether nothing is left out."""
        return self == Shortcuts()

    def override(
        self,
        *,
        cache_interval: int | None = None,
        guidance_interval: tuple[float, float] | None = None,
        token_merging_ratio: float | None = None,
    ) -> "Shortcuts":
        """These shortcuts with what a caller chose in their place; None keeps a value.

        Raises:
            InvalidInputError: A value lies out of range.
        """
        chosen = {
            "cache_interval": cache_interval,
            "guidance_interval": guidance_interval,
            "token_merging_ratio": token_merging_ratio,
        }
        return replace(self, **{key: value for key, value in chosen.items() if value is not None})  # type: ignore[arg-type]

    def for_steps(self, steps: int, measured_steps: int) -> "Shortcuts":
        """The same for a run of fewer steps than these values were measured at.

        Cached features must not grow older, in noise levels, than they were there, so the
        interval shrinks with the number of steps; with more steps it stays.

        Args:
            steps: Steps of the run.
            measured_steps: Steps that the values were chosen for.
        """
        scaled = self.cache_interval * steps // measured_steps
        return replace(self, cache_interval=max(1, min(self.cache_interval, scaled)))


def _pair(interval: Any) -> tuple[float, float]:
    try:
        start, stop = map(float, interval)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"guidance_interval is a pair of numbers (start, stop), not {interval!r}"
        ) from None
    return start, stop

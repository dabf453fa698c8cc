"""Which picture is painted from which prompt and seed."""

import secrets
from collections.abc import Sequence

from nvfp4_ddim_contracts.generation import MAX_SEED
from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["match_prompts"]


def match_prompts(
    prompt: str | Sequence[str], seed: int | Sequence[int] | None
) -> tuple[list[str], list[int]]:
    """As many prompts as seeds.

    Args:
        prompt: One prompt or several.
        seed: One seed to count up from modulo 2^32, one for each picture, or None for a random one.

    Returns:
        B prompts and B seeds.

    Raises:
        InvalidInputError: Their numbers differ, there are none, or a seed is out of range.
    """
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if isinstance(seed, Sequence):
        seeds = list(seed)
        if isinstance(prompt, str):
            prompts *= len(seeds)
    else:
        first = secrets.randbelow(MAX_SEED + 1) if seed is None else seed
        seeds = [first if k == 0 else (first + k) % (MAX_SEED + 1) for k in range(len(prompts))]
    if not prompts:
        raise InvalidInputError("there is nothing to paint: give at least one prompt and seed")
    if len(prompts) != len(seeds):
        raise InvalidInputError(f"{len(prompts)} prompts, but {len(seeds)} seeds")
    if not all(0 <= s <= MAX_SEED for s in seeds):
        raise InvalidInputError(f"a seed must lie in [0, {MAX_SEED}]")
    return prompts, seeds

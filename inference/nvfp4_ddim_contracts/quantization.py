"""How the weights of an artifact were quantised."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from ._base import Contract

__all__ = ["DataFree", "Quantization", "RateDistortion", "ScaleSearch"]


class ScaleSearch(StrEnum):
    """Which block scales are tried: amax/6; amax/6 and amax/4; or every E4M3 number near them."""

    ABSMAX = "absmax"
    FOUR_OVER_SIX = "four-over-six"
    SWEEP = "sweep"


class DataFree(Contract):
    """Each weight by itself, for the least error; storage is not thought of."""

    method: Literal["data-free"] = "data-free"
    scale_search: ScaleSearch

    def __str__(self) -> str:
        """In a few words, for people."""
        return f"{self.scale_search} scales"


class RateDistortion(Contract):
    """Each weight by itself, for error and entropy-coded size together."""

    method: Literal["rate-distortion"] = "rate-distortion"
    rate_weight: float = Field(
        ge=0,
        allow_inf_nan=False,
        description="Squared error that one bit is worth, in units of the weight's variance.",
    )

    def __str__(self) -> str:
        """In a few words, for people."""
        return f"rate-distortion optimised, lambda {self.rate_weight:.3g}"


Quantization = Annotated[DataFree | RateDistortion, Field(discriminator="method")]
"""How an artifact was quantised. A new method is a new member with its own `method`."""

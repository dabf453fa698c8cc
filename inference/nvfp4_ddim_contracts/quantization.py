"""How the weights of an artifact were quantised."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from ._base import Contract

__all__ = [
    "Calibrated",
    "DataFree",
    "Elsewhere",
    "Quantization",
    "RateDistortion",
    "ScaleSearch",
]


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


class Calibrated(Contract):
    """As `RateDistortion`, but for the error of layers' outputs on prompts that the model drew."""

    method: Literal["calibrated"] = "calibrated"
    rate_weight: float = Field(ge=0, allow_inf_nan=False, description="As in RateDistortion.")
    prompts: tuple[str, ...] = Field(min_length=1, description="What the model drew.")
    steps: int = Field(10, ge=1, le=1000, description="DDIM steps of each picture.")
    seed: int = Field(0, ge=0, description="Of the first picture; the others' follow.")

    def __str__(self) -> str:
        """In a few words, for people."""
        return f"calibrated on {len(self.prompts)} prompts, lambda {self.rate_weight:.3g}"


class Elsewhere(Contract):
    """By another tool, whose files the artifact was made from."""

    method: Literal["elsewhere"] = "elsewhere"
    tool: str = Field(min_length=1, description="Whose file layout it was.")

    def __str__(self) -> str:
        """In a few words, for people."""
        return f"quantised elsewhere, read from {self.tool} files"


Quantization = Annotated[
    DataFree | RateDistortion | Calibrated | Elsewhere, Field(discriminator="method")
]
"""How an artifact was quantised. A new method is a new member with its own `method`."""

"""What callers do with a stage, as far as its cost follows from that."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from infra.paths import REPOSITORY
from nvfp4_ddim_contracts import Lane

from .errors import UnknownPriceError, WrongShareError

__all__ = ["Load", "measured_seconds", "read_shares"]

_ALL = 100
_SHARE = re.compile(r"(?P<lane>[a-z]+)=(?P<share>\d{1,3})")
_MEASURED_MODEL = "emoji-64"
_MEASUREMENTS = REPOSITORY / "docs" / "benchmarks" / "demo.json"


@dataclass(frozen=True, kw_only=True)
class Load:
    """What callers do.

    Attributes:
        images_per_day: Pictures, one a job.
        seconds_per_image: The machine's work on one, the same on every lane.
        bursts_per_day: How often a day work comes after a pause in which the machines went.
        shares: Of a hundred pictures, how many a lane makes; the asynchronous one makes the rest.
    """

    images_per_day: int
    seconds_per_image: float
    bursts_per_day: int
    shares: Mapping[Lane, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the shares.

        Raises:
            WrongShareError: They are more than all pictures, or the rest is given, too.
        """
        if Lane.ASYNC in self.shares:
            raise WrongShareError(
                "The asynchronous lane makes what the others leave: give the others' shares."
            )
        if min(self.shares.values(), default=0) < 0 or sum(self.shares.values()) > _ALL:
            raise WrongShareError("Shares are whole per cents, 100 together at most.")

    def share(self, lane: Lane) -> float:
        """The part of the pictures that a lane makes."""
        if lane is Lane.ASYNC:
            return 1 - sum(self.shares.values()) / _ALL
        return self.shares.get(lane, 0) / _ALL


def read_shares(texts: Iterable[str]) -> dict[Lane, int]:
    """Shares as an operator writes them, `lambda=30`.

    Raises:
        WrongShareError: One of them is no such text, or a lane has two.
    """
    shares: dict[Lane, int] = {}
    for text in texts:
        match = _SHARE.fullmatch(text)
        if match is None or match["lane"] not in list(Lane) or Lane(match["lane"]) in shares:
            names = ", ".join(lane for lane in Lane if lane is not Lane.ASYNC)
            raise WrongShareError(
                f"'{text}' is no share: write LANE=PER_CENT, each lane once; lanes are {names}."
            )
        shares[Lane(match["lane"])] = int(match["share"])
    return shares


def measured_seconds(model: str) -> float:
    """How long a picture takes in the container, preset balanced, as docs/benchmarks has it.

    It was measured on two processor cores, which is what ml.c7i.xlarge has; a GPU is faster, so
    that the estimate for one is too high rather than too low.

    Raises:
        UnknownPriceError: The model was not measured.
    """
    if model != _MEASURED_MODEL:
        raise UnknownPriceError(
            f"How long a picture of '{model}' takes was not measured; say it by "
            "--seconds-per-image."
        )
    entries = json.loads(_MEASUREMENTS.read_text())
    return float(next(each["value"] for each in entries if each["id"] == "generate_seconds"))

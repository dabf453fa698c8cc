"""`analyze`: a photo of a potato leaf in, a report on its health out."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from nvfp4_ddim_contracts._base import Contract

from ._base import InputFile, InputSlot, TaskName, TaskRequest, TaskSpec

__all__ = [
    "SPEC",
    "Advice",
    "AnalyzeInputs",
    "AnalyzeMethod",
    "AnalyzeParameters",
    "AnalyzeReport",
    "AnalyzeRequest",
    "ClassProbabilities",
    "Disease",
    "Finding",
    "LeafBox",
    "SeverityLevel",
    "Source",
]

MAX_PHOTO_BYTES = 20 * 1024 * 1024


class Disease(StrEnum):
    """What the model can tell apart."""

    HEALTHY = "healthy"
    EARLY_BLIGHT = "early_blight"
    LATE_BLIGHT = "late_blight"


class Finding(StrEnum):
    """What a report says: a disease, none, or that the photo does not allow an answer."""

    HEALTHY = "healthy"
    EARLY_BLIGHT = "early_blight"
    LATE_BLIGHT = "late_blight"
    NOT_SURE = "not_sure"


class AnalyzeMethod(StrEnum):
    """How the photo is looked at."""

    FAST = "fast"
    THOROUGH = "thorough"


class SeverityLevel(StrEnum):
    """Severity in words."""

    NONE = "none"
    SLIGHT = "slight"
    MODERATE = "moderate"
    SEVERE = "severe"


class AnalyzeInputs(Contract):
    """The files of a request."""

    photo: InputFile = Field(description="One leaf, JPEG, PNG or WebP.")


class AnalyzeParameters(Contract):
    """How to look at a photo."""

    method: AnalyzeMethod = Field(
        AnalyzeMethod.THOROUGH,
        description="fast: features of one pass; no heat map, no severity. thorough: also the "
        "prediction errors of each class at num_inference_steps noise levels.",
    )
    least_probability: float = Field(
        0.7, ge=0.34, le=0.999, description="Below this probability the finding is not_sure."
    )
    heat_map: bool = Field(
        True, description="Whether to give the heat map as pictures (thorough only)."
    )


class ClassProbabilities(Contract):
    """Calibrated probabilities; they add up to 1."""

    healthy: float = Field(ge=0, le=1)
    early_blight: float = Field(ge=0, le=1)
    late_blight: float = Field(ge=0, le=1)


class LeafBox(Contract):
    """The square of the upright photo that was looked at, in pixels; may reach over its edge."""

    left: int
    top: int
    right: int
    bottom: int


class Source(Contract):
    """Where advice comes from."""

    title: str
    publisher: str
    url: str


class Advice(Contract):
    """What to do: general knowledge, no substitute for somebody who knows the place."""

    title: str
    cause: str
    steps: tuple[str, ...]
    sources: tuple[Source, ...]
    note: str


class AnalyzeReport(Contract):
    """The answer's JSON part."""

    finding: Finding
    probability: float = Field(ge=0, le=1, description="Of the likeliest class, calibrated.")
    probabilities: ClassProbabilities
    reason: str = Field(description="Why the finding is not_sure; empty otherwise.")
    unlike_training: float = Field(
        description="How unlike the leaves of the training the photo is; above 1 is not_sure."
    )
    leaf_share: float = Field(ge=0, le=1, description="Leaf pixels as a share of the photo's.")
    leaf_box: LeafBox
    severity: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the leaf's area that looks affected: an estimate without ground "
        "truth. Null with the fast method and where the finding is not_sure.",
    )
    severity_level: SeverityLevel | None = None
    fast_probabilities: ClassProbabilities = Field(description="From the features alone.")
    diffusion_probabilities: ClassProbabilities | None = Field(
        None, description="From the prediction errors alone; thorough only."
    )
    advice: Advice


class AnalyzeRequest(TaskRequest):
    """A request for a report."""

    task: Literal[TaskName.ANALYZE] = TaskName.ANALYZE
    inputs: AnalyzeInputs
    parameters: AnalyzeParameters = AnalyzeParameters()


SPEC = TaskSpec(
    name=TaskName.ANALYZE,
    summary="Find early and late blight on a photo of a potato leaf, with a heat map and advice.",
    model="potato-leaf-128",
    inputs=(InputSlot("photo", ("image/jpeg", "image/png", "image/webp"), MAX_PHOTO_BYTES),),
    request=AnalyzeRequest,
    parameters=AnalyzeParameters,
    report=AnalyzeReport,
)

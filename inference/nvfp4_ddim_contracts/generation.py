"""What a caller asks of the pipeline, and what the pipeline answers.

The same two messages travel from the API to the container: `GenerationRequest` is the body of
`POST /v1/jobs` and of `POST /invocations`; `GenerationResult` is the container's JSON answer and
the object that asynchronous inference leaves in S3.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Base64Bytes, Field, StringConstraints

from ._base import Contract

__all__ = [
    "MAX_CACHE_INTERVAL",
    "MAX_IMAGES",
    "MAX_PIXELS_PER_SIDE",
    "MAX_PROMPT_CHARACTERS",
    "MAX_SEED",
    "MAX_STEPS",
    "MAX_TOKEN_MERGING_RATIO",
    "GeneratedImage",
    "GenerationRequest",
    "GenerationResult",
    "ImageFormat",
    "ModelName",
    "Preset",
    "Provenance",
    "Timings",
]

MAX_PROMPT_CHARACTERS = 2_000
MAX_STEPS = 1_000
MAX_PIXELS_PER_SIDE = 1_024
MAX_IMAGES = 4
MAX_SEED = 2**32 - 1
MAX_CACHE_INTERVAL = 20
MAX_TOKEN_MERGING_RATIO = 0.75  # one token of every 2 x 2 stays


def _check_rising(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError("an interval ends no earlier than it starts")
    return interval


Fraction = Annotated[float, Field(ge=0, le=1)]
Interval = Annotated[tuple[Fraction, Fraction], AfterValidator(_check_rising)]
Prompt = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT_CHARACTERS)
]
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]


class Preset(StrEnum):
    """How much time to trade for quality: 10, 20 or 50 DDIM steps and what goes with them."""

    FAST = "fast"
    BALANCED = "balanced"
    QUALITY = "quality"

    @property
    def steps(self) -> int:
        """DDIM steps of a request that names no number of its own."""
        return {Preset.FAST: 10, Preset.BALANCED: 20, Preset.QUALITY: 50}[self]


class ImageFormat(StrEnum):
    """Encodings of the generated picture."""

    PNG = "png"
    WEBP = "webp"
    JPEG = "jpeg"


class GenerationRequest(Contract):
    """A text-to-image request. Every field but the prompt has a default from the preset or model.

    Width and height are pixels and must be multiples of 8 (the autoencoder's factor).
    """

    task: Literal["generate"] = "generate"
    prompt: Prompt
    negative_prompt: Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARACTERS)] = ""
    model: ModelName | None = Field(None, description="A name from GET /v1/models.")
    preset: Preset = Preset.BALANCED
    num_inference_steps: int | None = Field(
        None, ge=1, le=MAX_STEPS, description="DDIM steps; the preset's number when absent."
    )
    guidance_scale: float | None = Field(
        None, ge=0, le=30, description="Classifier-free guidance; the model's own when absent."
    )
    eta: float = Field(0.0, ge=0, le=1, description="0 is deterministic DDIM, 1 is DDPM noise.")
    cache_interval: int | None = Field(
        None,
        ge=1,
        le=MAX_CACHE_INTERVAL,
        description="The UNet's deep part runs in every N-th step only (DeepCache); 1 is exact. "
        "The preset's choice when absent.",
    )
    guidance_interval: Interval | None = Field(
        None,
        description="[start, stop], the part of the steps that guidance acts on; [0, 1] is exact. "
        "The preset's choice when absent.",
    )
    token_merging_ratio: float | None = Field(
        None,
        ge=0,
        le=MAX_TOKEN_MERGING_RATIO,
        description="Share of tokens merged around self-attention; 0 is exact. "
        "The preset's choice when absent.",
    )
    width: int | None = Field(None, ge=8, le=MAX_PIXELS_PER_SIDE, multiple_of=8)
    height: int | None = Field(None, ge=8, le=MAX_PIXELS_PER_SIDE, multiple_of=8)
    num_images: int = Field(1, ge=1, le=MAX_IMAGES)
    seed: int | None = Field(
        None,
        ge=0,
        le=MAX_SEED,
        description="Image k uses seed + k modulo 2^32. A random seed, reported back, when absent.",
    )
    image_format: ImageFormat = ImageFormat.PNG
    strict_precision: Literal["nvfp4"] | None = Field(
        None,
        description="nvfp4: rather no picture than one from a machine without FP4 arithmetic.",
    )


class Provenance(Contract):
    """Where a picture came from: enough to make it again."""

    model: str
    artifact_sha256: str = Field(description="SHA-256 of the artifact's manifest.json.")
    preset: Preset
    num_inference_steps: int
    guidance_scale: float
    eta: float
    seed: int
    cache_interval: int = Field(
        1, description="The UNet's deep part ran in every N-th step (DeepCache); 1 is exact."
    )
    guidance_interval: Interval = Field(
        (0.0, 1.0), description="The part of the steps that guidance acted on; 0 to 1 is exact."
    )
    token_merging_ratio: float = Field(
        0.0, description="Share of tokens merged around self-attention; 0 is exact."
    )
    execution_path: str = Field(
        description="Which arithmetic ran, such as 'cpu/fp32/nvfp4-dequantise'."
    )
    library_version: str


class Timings(Contract):
    """Seconds spent in the container."""

    queue_seconds: float = Field(ge=0)
    generate_seconds: float = Field(ge=0)
    encode_seconds: float = Field(ge=0)


class GeneratedImage(Contract):
    """One encoded picture."""

    seed: int
    image_format: ImageFormat
    width: int
    height: int
    data: Base64Bytes = Field(description="The encoded picture, base64 in JSON.", repr=False)


class GenerationResult(Contract):
    """The pictures, in the order of their seeds, with provenance and timings."""

    images: tuple[GeneratedImage, ...] = Field(min_length=1, max_length=MAX_IMAGES)
    provenance: Provenance
    timings: Timings
    instance_type: str | None = Field(
        None, max_length=63, description="What it ran on, where the container was told."
    )

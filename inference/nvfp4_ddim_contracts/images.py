"""`POST /v1/images/generations`: the OpenAI Images API's shape, as far as it makes sense here.

Source: OpenAI API reference, "Create image". Fields that steer OpenAI's own models and have no
meaning here are accepted and ignored, so that existing clients work unchanged.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from ._base import Contract
from .generation import MAX_IMAGES, MAX_SEED, ImageFormat, ModelName, Preset, Prompt, Provenance

__all__ = ["ImageData", "ImageQuality", "ImagesRequest", "ImagesResponse"]


class ImageQuality(StrEnum):
    """OpenAI's quality words; `preset` maps them onto ours."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    STANDARD = "standard"
    HD = "hd"
    AUTO = "auto"

    @property
    def preset(self) -> Preset:
        """The preset that this quality stands for."""
        return {
            ImageQuality.LOW: Preset.FAST,
            ImageQuality.HIGH: Preset.QUALITY,
            ImageQuality.HD: Preset.QUALITY,
        }.get(self, Preset.BALANCED)


class ImagesRequest(Contract):
    """An OpenAI-shaped request. `seed` is ours; `size` is WIDTHxHEIGHT or 'auto'."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    prompt: Prompt
    model: ModelName | None = None
    n: int = Field(1, ge=1, le=MAX_IMAGES)
    size: Annotated[str, StringConstraints(pattern=r"^(auto|[1-9]\d{0,3}x[1-9]\d{0,3})$")] = "auto"
    quality: ImageQuality = ImageQuality.AUTO
    response_format: Literal["url", "b64_json"] = "url"
    output_format: ImageFormat = ImageFormat.PNG
    seed: int | None = Field(None, ge=0, le=MAX_SEED)


class ImageData(Contract):
    """One picture: a signed link, or its bytes in base64."""

    url: str | None = None
    b64_json: str | None = None


class ImagesResponse(Contract):
    """OpenAI's answer, with our job id and provenance beside it."""

    created: int = Field(description="Unix seconds.")
    data: tuple[ImageData, ...]
    job_id: str
    provenance: Provenance

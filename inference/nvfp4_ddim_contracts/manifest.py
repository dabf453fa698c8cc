"""`manifest.json` of an NVFP4 artifact: what is in the directory and how to check it.

The manifest is written last, so that a directory without one is by definition unfinished. Its
own SHA-256 names the artifact everywhere (`artifact_sha256`).
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from ._base import Contract
from .generation import ModelName
from .quantization import Quantization

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST_NAME",
    "ArtifactFile",
    "LayerEncoding",
    "LayerEntry",
    "Manifest",
    "RelativePath",
    "Sha256",
    "WeightStorage",
]

FORMAT_VERSION = 2
"""2: a convolution's columns are in the order kh, kw, Cin; weights may be stored densely."""

MANIFEST_NAME = "manifest.json"

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# No segment starts with a dot, so no path leaves the directory or hides in it.
RelativePath = Annotated[
    str, StringConstraints(pattern=r"^\w[\w.-]*(/\w[\w.-]*)*$", max_length=512)
]


class WeightStorage(StrEnum):
    """How the weights lie in their files: ready to be mapped, or losslessly compressed."""

    PLAIN = "plain"
    DENSE = "dense"


class LayerEncoding(StrEnum):
    """How a layer's weight is stored."""

    NVFP4 = "nvfp4"


class LayerEntry(Contract):
    """One quantised layer."""

    component: str = Field(description="Diffusers component, such as 'unet'.")
    name: str = Field(description="Module path inside the component.")
    encoding: LayerEncoding = LayerEncoding.NVFP4
    shape: tuple[int, ...] = Field(description="The original weight's shape.")
    bits_per_weight: float = Field(gt=0)
    sqnr_db: float | None = Field(
        description="10 log10(|w|^2 / |w - dequantised w|^2); null where w itself was not at hand."
    )


class ArtifactFile(Contract):
    """One file of the artifact, by its path relative to the manifest."""

    path: RelativePath
    bytes: int = Field(ge=0)
    sha256: Sha256


class Manifest(Contract):
    """What an artifact directory holds."""

    format: Literal["nvfp4-ddim-artifact"] = "nvfp4-ddim-artifact"
    format_version: int = Field(FORMAT_VERSION, ge=1)
    name: ModelName
    created_at: datetime
    created_by: str = Field(description="Library name and version.")
    pipeline_class: str = Field(description="Diffusers pipeline class of the original.")
    original_model: str = Field(description="Name or hub id of what was quantised.")
    original_bytes: int = Field(ge=0, description="Size of the original's parameters in fp32.")
    artifact_bytes: int = Field(ge=0, description="Sum of the sizes of all files listed.")
    license: str = Field(description="SPDX expression or the original's licence text's name.")
    attribution: str = ""
    quantization: Quantization
    storage: WeightStorage = Field(
        WeightStorage.PLAIN, description="How the components' weights are stored."
    )
    default_guidance_scale: float = Field(7.5, ge=0)
    native_height: int = Field(ge=8)
    native_width: int = Field(ge=8)
    layers: tuple[LayerEntry, ...]
    files: tuple[ArtifactFile, ...]

"""What the service and a device tell each other: job documents, and the shadow `nvfp4-ddim`."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Base64Bytes, Field, StringConstraints

from ._base import Contract
from .generation import MAX_SEED, MAX_STEPS, ModelName

__all__ = [
    "MAX_DOCUMENT_CHARACTERS",
    "REFERENCE_PIXELS",
    "SHADOW_NAME",
    "Capability",
    "DeviceState",
    "InstallJob",
    "SelfTest",
    "thing_group_name",
    "thing_name",
]

SHADOW_NAME = "nvfp4-ddim"
MAX_DOCUMENT_CHARACTERS = 32_768
"""Limit of AWS IoT Jobs."""
REFERENCE_PIXELS = 64
"""Longest side of a self-test's picture: what fits into a job document."""
_MAX_REFERENCE_BYTES = 20_000

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Capability(StrEnum):
    """What a device computes with; each is a thing group."""

    CPU_X86 = "cpu-x86"
    CPU_ARM64 = "cpu-arm64"
    GPU = "gpu"


class SelfTest(Contract):
    """A picture that a release has to paint before it is used.

    Devices differ in the last bits of their arithmetic, so that pictures are compared by their
    peak signal-to-noise ratio, reduced to at most `REFERENCE_PIXELS`.
    """

    prompt: str = Field("a red heart", min_length=1, max_length=500)
    seed: int = Field(7, ge=0, le=MAX_SEED)
    num_inference_steps: int = Field(10, ge=1, le=MAX_STEPS)
    expected_png: Base64Bytes | None = Field(
        None,
        max_length=_MAX_REFERENCE_BYTES,
        description="The picture; without it a release has to paint anything but one flat colour.",
    )
    min_psnr_db: float = Field(25.0, ge=5, le=100)


class InstallJob(Contract):
    """The document of a job: install this artifact."""

    operation: Literal["install"] = "install"
    name: ModelName
    artifact_sha256: Sha256
    self_test: SelfTest = SelfTest()


class DeviceState(Contract):
    """What a device reports about itself in its shadow."""

    agent_version: str = Field(max_length=64)
    name: ModelName | None = Field(description="The model that is installed; null before any is.")
    artifact_sha256: Sha256 | None
    previous_sha256: Sha256 | None = Field(description="What a failure would return to.")
    execution_path: str | None = Field(description="As in a picture's provenance.")
    free_bytes: int = Field(ge=0)
    last_failure: str | None = Field(max_length=1000)


def thing_group_name(stage: str, capability: Capability) -> str:
    """Name of the thing group of a capability."""
    return f"nvfp4-ddim-{stage}-{capability}"


def thing_name(stage: str, serial_number: str) -> str:
    """Name of a device's thing."""
    return f"nvfp4-ddim-{stage}-{serial_number}"

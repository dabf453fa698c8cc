"""`GET /v1/models`, in the shape that OpenAI's clients know, and what lies behind it."""

from typing import Literal, Self

from pydantic import Field

from ._base import Contract
from .generation import ModelName
from .manifest import Manifest

__all__ = ["LiveModel", "Model", "ModelList", "PointerHistory"]


class LiveModel(Contract):
    """`models/<name>/live.json`: which artifact of a model is being served."""

    name: ModelName
    artifact_sha256: str
    created: int = Field(description="Unix seconds.")
    license: str
    artifact_bytes: int
    native_width: int
    native_height: int

    @classmethod
    def of(cls, manifest: Manifest, artifact_sha256: str) -> Self:
        """The pointer to the artifact that a manifest with this SHA-256 describes."""
        return cls(
            name=manifest.name,
            artifact_sha256=artifact_sha256,
            created=int(manifest.created_at.timestamp()),
            license=manifest.license,
            artifact_bytes=manifest.artifact_bytes,
            native_width=manifest.native_width,
            native_height=manifest.native_height,
        )


class PointerHistory(Contract):
    """`models/<name>/history.json`: what was served under a name before, the latest first."""

    earlier: tuple[LiveModel, ...] = Field((), max_length=100)


class Model(Contract):
    """One model of the service."""

    id: ModelName
    object: Literal["model"] = "model"
    created: int = Field(description="Unix seconds.")
    owned_by: str
    artifact_sha256: str
    license: str
    artifact_bytes: int
    native_width: int
    native_height: int


class ModelList(Contract):
    """All models a caller may name."""

    object: Literal["list"] = "list"
    data: tuple[Model, ...]

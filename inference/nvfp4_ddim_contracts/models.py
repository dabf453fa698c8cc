"""`GET /v1/models`, in the shape that OpenAI's clients know, and what lies behind it."""

from typing import Literal

from pydantic import Field

from ._base import Contract
from .generation import ModelName

__all__ = ["LiveModel", "Model", "ModelList"]


class LiveModel(Contract):
    """`models/<name>/live.json`: which artifact of a model is being served."""

    name: ModelName
    artifact_sha256: str
    created: int = Field(description="Unix seconds.")
    license: str
    artifact_bytes: int
    native_width: int
    native_height: int


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

"""What requests and answers of all tasks beside text-to-image have in common.

A task has one file here: its inputs, parameters, report and request, and a `TaskSpec` that ties
them together. The same two messages travel from the API to the container, as in `generation`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Base64Bytes, Field, JsonValue, StringConstraints, model_validator

from nvfp4_ddim_contracts._base import Contract
from nvfp4_ddim_contracts.generation import MAX_SEED, MAX_STEPS, ModelName, Preset, Timings
from nvfp4_ddim_contracts.keys import UPLOAD_ID_PATTERN

__all__ = [
    "MAX_INLINE_BYTES",
    "FileName",
    "InputFile",
    "InputSlot",
    "TaskFile",
    "TaskName",
    "TaskProvenance",
    "TaskRequest",
    "TaskResult",
    "TaskSpec",
]

MAX_INLINE_BYTES = 4 * 1024 * 1024
"""Of an input inside a request; larger ones are uploaded."""

MediaType = Annotated[str, StringConstraints(pattern=r"^[a-z]+/[a-z0-9][a-z0-9.+-]*$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*(\.[a-z0-9]+){1,2}$")]


class TaskName(StrEnum):
    """What a model can be asked to do, beside `generate`."""

    SEGMENT = "segment"
    COMPRESS = "compress"
    DECOMPRESS = "decompress"
    INTERPOLATE = "interpolate"
    ANALYZE = "analyze"


class InputFile(Contract):
    """A file that a task works on: inside the request, or uploaded before."""

    data: Base64Bytes | None = Field(
        None,
        min_length=1,
        max_length=MAX_INLINE_BYTES,
        repr=False,
        description="The file itself, base64 in JSON; up to 4 MiB.",
    )
    upload: str | None = Field(
        None,
        pattern=f"^{UPLOAD_ID_PATTERN}$",
        description="Id of a file brought by POST /v1/uploads.",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.data is None) == (self.upload is None):
            raise ValueError("give either data or upload")
        return self


class TaskRequest(Contract):
    """The part of a request that is the same for every task; each task adds its own three fields:
    `task`, `inputs` and `parameters`.
    """

    model: ModelName | None = Field(
        None, description="A name from GET /v1/models; the task's own model when absent."
    )
    preset: Preset = Preset.BALANCED
    num_inference_steps: int | None = Field(
        None, ge=1, le=MAX_STEPS, description="DDIM steps; the preset's number when absent."
    )
    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="A random seed, reported back, when absent."
    )


class TaskFile(Contract):
    """One file of an answer."""

    name: FileName
    media_type: MediaType
    data: Base64Bytes = Field(description="The file, base64 in JSON.", repr=False)


class TaskProvenance(Contract):
    """Where an answer came from: enough to make it again."""

    model: str
    artifact_sha256: str = Field(description="SHA-256 of the artifact's manifest.json.")
    preset: Preset
    num_inference_steps: int
    seed: int
    execution_path: str
    library_version: str


class TaskResult(Contract):
    """The container's answer to a `TaskRequest`."""

    task: TaskName
    report: dict[str, JsonValue] = Field(description="The task's own report.")
    files: tuple[TaskFile, ...] = Field(max_length=64)
    provenance: TaskProvenance
    timings: Timings
    instance_type: str | None = Field(
        None, max_length=63, description="What it ran on, where the container was told."
    )


@dataclass(frozen=True)
class InputSlot:
    """One input of a task.

    Attributes:
        name: Field of the task's `inputs`.
        media_types: What it may be.
        max_bytes: How large it may be.
        required: Whether a request must have it.
    """

    name: str
    media_types: tuple[str, ...]
    max_bytes: int
    required: bool = True


@dataclass(frozen=True)
class TaskSpec:
    """A task's description of itself, for the API, the container, the command line and the page.

    Attributes:
        name: Its name.
        summary: One sentence.
        model: Name of the bundled model that does it.
        inputs: The files it takes.
        request: Its request; has fields `inputs` and `parameters`.
        parameters: Type of `parameters`.
        report: The answer's JSON part.
    """

    name: TaskName
    summary: str
    model: str
    inputs: tuple[InputSlot, ...]
    request: type[TaskRequest]
    parameters: type[Contract]
    report: type[Contract]

    def parameters_schema(self) -> dict[str, Any]:
        """JSON schema of the parameters, from which forms are made."""
        return self.parameters.model_json_schema()

"""Models that are dropped into a bucket to be quantised there, and what becomes of them.

incoming/<name>/...                          a diffusers model, safetensors only
incoming/<name>/quantize.json                `QuantizationOrder`; written last, it starts the work
drafts/<job>/task/task.json                    `QuantizationTask`: what the job is told
drafts/<job>/output/artifact/                  the artifact, if it is worth publishing
drafts/<job>/output/validation.json            `QuantizationValidation`; written last
quantizations/<name>/<execution>.json        `QuantizationReport`, of failures too
quantizations/<name>/sources/<digest>.json   `QuantizedSource`: a model that needs no second time

training/                                    data of training jobs, and what they make:
training/jobs/<job>/output/model.tar.gz      the folder that a script wrote

`_unnamed` stands for <name> in reports on models whose name can't be used.
"""

import hashlib
import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from ._base import Contract
from .generation import MAX_PROMPT_CHARACTERS, ModelName, Preset
from .manifest import RelativePath, Sha256

__all__ = [
    "DRAFTS_PREFIX",
    "INCOMING_PREFIX",
    "ORDER_NAME",
    "PICKLE_SUFFIXES",
    "REPORTS_PREFIX",
    "TASK_NAME",
    "TRAINING_JOBS_PREFIX",
    "TRAINING_PREFIX",
    "VALIDATION_NAME",
    "QuantizationOrder",
    "QuantizationProblem",
    "QuantizationProblemCode",
    "QuantizationReport",
    "QuantizationState",
    "QuantizationTask",
    "QuantizationValidation",
    "QuantizedSource",
    "SourceFile",
    "incoming_prefix",
    "is_incoming_name",
    "order_folder",
    "quantization_job",
    "quantized_source_key",
    "report_key",
    "source_digest",
    "work_key",
]

INCOMING_PREFIX = "incoming/"
DRAFTS_PREFIX = "drafts/"
REPORTS_PREFIX = "quantizations/"
TRAINING_PREFIX = "training/"
TRAINING_JOBS_PREFIX = "training/jobs/"
ORDER_NAME = "quantize.json"
TASK_NAME = "task.json"
VALIDATION_NAME = "validation.json"
PICKLE_SUFFIXES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})
"""Files that run code when they are unpickled."""

MAX_CALIBRATION_PROMPTS = 64
_UNSTATED = "NOASSERTION"
_UNNAMED = "_unnamed"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_ORDER_KEY = re.compile(rf"{INCOMING_PREFIX}(?P<folder>.+)/{re.escape(ORDER_NAME)}")

Prompt = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT_CHARACTERS),
]


class QuantizationOrder(Contract):
    """`quantize.json`: what to do with the model beside it."""

    license: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)
    ] = Field(description="SPDX expression of the weights' licence; stands in the manifest.")
    attribution: str = Field("", max_length=1_000, description="Whom the licence wants named.")
    original_model: str = Field(
        "", max_length=200, description="Where the weights are from, such as a hub id."
    )
    effort: Preset = Field(
        Preset.BALANCED, description="As in `nvfp4-ddim quantize --effort`; quality calibrates."
    )
    target_bits: float | None = Field(
        None,
        ge=1,
        le=16,
        allow_inf_nan=False,
        description="Size of the artifact in bits for each of the model's parameters.",
    )
    guidance_scale: float = Field(
        7.5, ge=0, le=30, allow_inf_nan=False, description="Guidance where a request gives none."
    )
    prompts: tuple[Prompt, ...] = Field(
        (),
        max_length=MAX_CALIBRATION_PROMPTS,
        description="What the model is to draw well: calibrated on, and compared by the first.",
    )
    min_psnr_db: float = Field(
        15.0,
        ge=5,
        le=60,
        allow_inf_nan=False,
        description="How close the artifact's test picture must come to the original's.",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.license == _UNSTATED:
            raise ValueError("state the licence: the registry takes no model without one")
        if self.effort is Preset.FAST and self.target_bits is not None:
            raise ValueError("target_bits needs the effort balanced or quality")
        return self


class QuantizationProblemCode(StrEnum):
    """Why a model was not published."""

    INVALID_ORDER = "invalid-order"
    BAD_NAME = "bad-name"
    MODEL_MISSING = "model-missing"
    PICKLE = "pickle"
    UNKNOWN_FILE = "unknown-file"
    TOO_MANY_FILES = "too-many-files"
    TOO_LARGE = "too-large"
    MODEL_CHANGED = "model-changed"
    NOT_SUPPORTED = "model-not-supported"
    NOT_FINITE = "not-finite"
    INVALID_INPUT = "invalid-input"
    OVER_BUDGET = "over-budget"
    OUT_OF_MEMORY = "out-of-memory"
    OUT_OF_BOUNDS = "out-of-bounds"
    DAMAGED_ARTIFACT = "damaged-artifact"
    JOB_FAILED = "job-failed"
    PUBLISHING_FAILED = "publishing-failed"


class QuantizationProblem(Contract):
    """Why a model was not published, for programs and for people."""

    code: QuantizationProblemCode
    detail: str = Field(min_length=1, max_length=2_000)


class SourceFile(Contract):
    """A file of the dropped model, by its path below `incoming/<name>/`."""

    path: RelativePath
    bytes: int = Field(ge=0)


class QuantizationTask(Contract):
    """What the job is told. `files` is what was checked: anything else is another model."""

    name: ModelName
    created_at: datetime = Field(description="For the manifest: equal models give equal bytes.")
    order: QuantizationOrder
    files: tuple[SourceFile, ...] = Field(min_length=1)


class QuantizationValidation(Contract):
    """What the job found. Without a problem there is an artifact beside it."""

    problem: QuantizationProblem | None = None
    artifact_sha256: Sha256 | None = None
    original_bytes: int | None = Field(None, ge=0, description="Parameters in float32.")
    artifact_bytes: int | None = Field(None, ge=0)
    bits_per_parameter: float | None = Field(None, gt=0, description="Of the whole artifact.")
    bits_per_weight: float | None = Field(None, gt=0, description="Mean of the quantised layers.")
    psnr_db: float | None = Field(
        None, description="Test picture of the artifact against the original's; 100 if equal."
    )
    min_psnr_db: float | None = None
    is_finite: bool | None = Field(None, description="Whether no step left the numbers.")
    worst_layer: str | None = Field(None, description="The quantised layer farthest off.")
    worst_layer_error: float | None = Field(
        None, ge=0, description="Its squared error over its squared weights."
    )
    prompt: str | None = None
    seed: int | None = None
    num_inference_steps: int | None = None
    height: int | None = None
    width: int | None = None
    quantize_seconds: float | None = Field(None, ge=0)
    validate_seconds: float | None = Field(None, ge=0)


class QuantizationState(StrEnum):
    """How an execution ended."""

    STAGED = "staged"
    ALREADY_THERE = "already-there"
    FAILED = "failed"


class QuantizationReport(Contract):
    """What became of a dropped model."""

    name: str | None = Field(description="null where the folder's name can't be a model's.")
    execution: str
    state: QuantizationState
    problem: QuantizationProblem | None = None
    artifact_sha256: Sha256 | None = None
    started_at: datetime
    finished_at: datetime
    validation: QuantizationValidation | None = Field(
        None, description="null where the job never ran, or was not needed."
    )


class QuantizedSource(Contract):
    """Which artifact a dropped model became, so that the same drop makes no other."""

    artifact_sha256: Sha256
    execution: str


def is_incoming_name(folder: str) -> bool:
    """Whether a folder's name can be a model's."""
    return _NAME.fullmatch(folder) is not None


def order_folder(key: str) -> str | None:
    """What lies between `incoming/` and `/quantize.json`, or None for another object."""
    match = _ORDER_KEY.fullmatch(key)
    return match["folder"] if match else None


def incoming_prefix(name: str) -> str:
    """Prefix of a dropped model's files, with the slash."""
    return f"{INCOMING_PREFIX}{name}/"


def quantization_job(execution: str) -> str:
    """Name of an execution's processing job: at most 63 letters, digits and single hyphens."""
    return f"quantize-{hashlib.sha256(execution.encode()).hexdigest()[:32]}"


def work_key(job: str, relative: str) -> str:
    """Key of a file that a job reads or writes."""
    return f"{DRAFTS_PREFIX}{job}/{relative}"


def report_key(name: str | None, execution: str) -> str:
    """Key of an execution's report."""
    return f"{REPORTS_PREFIX}{name or _UNNAMED}/{execution}.json"


def quantized_source_key(name: str, digest: str) -> str:
    """Key of the record of a model that was quantised."""
    return f"{REPORTS_PREFIX}{name}/sources/{digest}.json"


def source_digest(
    order: QuantizationOrder, files: Iterable[tuple[SourceFile, str]], quantizer: str
) -> str:
    """SHA-256 of everything that an artifact depends on.

    Args:
        order: What is to be done.
        files: The model's files, each with the checksum or tag that S3 has of it.
        quantizer: Names the program, such as its image.
    """
    digest = hashlib.sha256()
    digest.update(f"{quantizer}\n{order.model_dump_json()}\n".encode())
    for file, tag in sorted(files, key=lambda each: each[0].path):
        digest.update(f"{file.path}\n{file.bytes}\n{tag}\n".encode())
    return digest.hexdigest()

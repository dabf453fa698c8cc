"""The job behind a dropped model: quantise it, look at what came out, leave it to be published.

What is to be done lies in `input/task/task.json`, the model in `input/model`. The output folder
gets `artifact/` and, last, `validation.json`; or `validation.json` alone, with the reason.
"""

import logging
import math
import shutil
import time
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from nvfp4_ddim_contracts import Calibrated, Manifest, Quantization
from nvfp4_ddim_contracts.incoming import (
    TASK_NAME,
    VALIDATION_NAME,
    QuantizationOrder,
    QuantizationProblem,
    QuantizationProblemCode,
    QuantizationTask,
    QuantizationValidation,
)
from nvfp4_ddim_optimizer.artifacts.verify import artifact_sha256, verify_artifact
from nvfp4_ddim_optimizer.errors import (
    ArtifactError,
    BudgetExceededError,
    InsufficientMemoryError,
    InvalidInputError,
    ModelNotSupportedError,
    NVFP4Error,
)
from nvfp4_ddim_optimizer.presets import get_preset
from nvfp4_ddim_optimizer.process import tune_allocator
from nvfp4_ddim_optimizer.sources import locate_full_precision
from nvfp4_ddim_optimizer.streaming import ArtifactDetails, Budget, quantize_to_artifact

from .checks import check_files, check_weights
from .compare import Comparison, compare_models
from .compare_weights import LARGEST_ERROR, WorstLayer
from .errors import RefusedModelError, UsageError
from .folders import ProcessingFolders
from .progress import LoggedProgress

__all__ = ["run_quantization"]

_PROMPT = "a red apple on a wooden table"
_FP32_BYTES = 4
_CODES: tuple[tuple[type[NVFP4Error], QuantizationProblemCode], ...] = (
    (ModelNotSupportedError, QuantizationProblemCode.NOT_SUPPORTED),
    (BudgetExceededError, QuantizationProblemCode.OVER_BUDGET),
    (InsufficientMemoryError, QuantizationProblemCode.OUT_OF_MEMORY),
    (ArtifactError, QuantizationProblemCode.DAMAGED_ARTIFACT),
    (InvalidInputError, QuantizationProblemCode.INVALID_INPUT),
)

logger = logging.getLogger(__name__)


def run_quantization(folders: ProcessingFolders) -> QuantizationValidation:
    """Quantise, validate, and write down how it went.

    Args:
        folders: SageMaker's.

    Returns:
        What `validation.json` says; a model that is refused is an answer, not an error.

    Raises:
        UsageError: There is no task that can be read.
    """
    task = _read_task(folders)
    try:
        validation = _quantize(folders, task)
    except RefusedModelError as error:
        validation = QuantizationValidation(problem=error.problem)
    except NVFP4Error as error:
        validation = QuantizationValidation(problem=_problem(error))
    finally:
        shutil.rmtree(folders.scratch, ignore_errors=True)
    if validation.problem is not None:
        logger.error("model refused", extra={"fields": validation.problem.model_dump(mode="json")})
    _write(folders.output / VALIDATION_NAME, validation.model_dump_json(indent=2))
    return validation


def _read_task(folders: ProcessingFolders) -> QuantizationTask:
    path = folders.task / TASK_NAME
    try:
        return QuantizationTask.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UsageError(f"{path} holds no task: {error}") from error


def _quantize(folders: ProcessingFolders, task: QuantizationTask) -> QuantizationValidation:
    check_files(folders.model, task)
    check_weights(folders.model)
    artifact = folders.scratch / task.name
    started = time.monotonic()
    manifest = _make_artifact(folders.model, artifact, task)
    quantized = time.monotonic()
    verify_artifact(artifact)
    order = task.order
    worst, comparison = compare_models(
        folders.model,
        artifact,
        prompt=order.prompts[0] if order.prompts else _PROMPT,
        guidance_scale=order.guidance_scale,
    )
    problem = _judge_layer(worst) or _judge(comparison, order)
    validation = QuantizationValidation(
        problem=problem,
        artifact_sha256=artifact_sha256(artifact),
        original_bytes=manifest.original_bytes,
        artifact_bytes=manifest.artifact_bytes,
        bits_per_parameter=_bits_per_parameter(manifest),
        bits_per_weight=_bits_per_weight(manifest),
        min_psnr_db=order.min_psnr_db,
        quantize_seconds=quantized - started,
        validate_seconds=time.monotonic() - quantized,
        worst_layer=worst.name if worst else None,
        worst_layer_error=worst.error if worst else None,
        **asdict(comparison),
    )
    if problem is None:
        folders.output.mkdir(parents=True, exist_ok=True)
        # Both are on the job's one volume.
        artifact.rename(folders.output / "artifact")
    return validation


def _make_artifact(model: Path, destination: Path, task: QuantizationTask) -> Manifest:
    order = task.order
    source = locate_full_precision(model)
    details = ArtifactDetails(
        name=task.name,
        original_model=order.original_model or task.name,
        license=order.license,
        attribution=order.attribution,
        default_guidance_scale=order.guidance_scale,
        created_at=task.created_at,
    )
    # Layers of ever other sizes: memory that is kept for the next one would fit none of them.
    tune_allocator(keep_freed=False)
    try:
        return quantize_to_artifact(
            source,
            destination,
            _quantization(order),
            details,
            budget=None
            if order.target_bits is None
            else Budget(bits_per_parameter=order.target_bits),
            progress=LoggedProgress(),
        )
    finally:
        tune_allocator()


def _quantization(order: QuantizationOrder) -> Quantization:
    record = get_preset(order.effort).quantization
    if isinstance(record, Calibrated) and order.prompts:
        return record.model_copy(update={"prompts": order.prompts})
    return record


def _judge_layer(worst: WorstLayer | None) -> QuantizationProblem | None:
    if worst is None or worst.error <= LARGEST_ERROR:
        return None
    return QuantizationProblem(
        code=QuantizationProblemCode.OUT_OF_BOUNDS,
        detail=f"The layer {worst.name} lost {worst.error:.0%} of its weights' squares, where "
        f"{LARGEST_ERROR:.0%} are allowed. Give the model more bits (target_bits).",
    )


def _judge(comparison: Comparison, order: QuantizationOrder) -> QuantizationProblem | None:
    if not comparison.is_finite:
        return QuantizationProblem(
            code=QuantizationProblemCode.NOT_FINITE,
            detail="The quantised model paints numbers that are infinite or not numbers.",
        )
    if comparison.psnr_db < order.min_psnr_db:
        return QuantizationProblem(
            code=QuantizationProblemCode.OUT_OF_BOUNDS,
            detail=f"The test picture differs too much from the original's: "
            f"{comparison.psnr_db:.1f} dB, where {order.min_psnr_db:g} dB are asked for. Give it "
            "more bits (target_bits), calibrate (effort quality), or lower min_psnr_db.",
        )
    return None


def _problem(error: NVFP4Error) -> QuantizationProblem:
    code = next(
        (code for kind, code in _CODES if isinstance(error, kind)),
        QuantizationProblemCode.INVALID_INPUT,
    )
    return QuantizationProblem(code=code, detail=str(error)[:2_000] or type(error).__name__)


def _bits_per_parameter(manifest: Manifest) -> float | None:
    parameters = manifest.original_bytes / _FP32_BYTES
    return 8 * manifest.artifact_bytes / parameters if parameters else None


def _bits_per_weight(manifest: Manifest) -> float | None:
    sizes = [math.prod(layer.shape) for layer in manifest.layers]
    bits = sum(
        size * layer.bits_per_weight for size, layer in zip(sizes, manifest.layers, strict=True)
    )
    return bits / sum(sizes) if sizes else None


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(path)

"""Writing an artifact."""

import copy
import inspect
import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nvfp4_ddim_contracts import (
    ArtifactFile,
    LayerEntry,
    Manifest,
    Quantization,
    WeightStorage,
)
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_optimizer.errors import (
    BudgetExceededError,
    InvalidInputError,
    ModelNotSupportedError,
)
from nvfp4_ddim_optimizer.task_model import TaskModel

from .atomic import check_target, fsync_tree, new_directory
from .layout import (
    CONFIG_NAME,
    MODEL_INDEX_NAME,
    SCHEDULER_CONFIG_NAME,
    component_kind,
    is_component_name,
    pipeline_class,
    weights_name,
)
from .verify import file_sha256
from .weights import parameter_count, save_weights

__all__ = ["check_destination", "save_artifact"]

_LOGGER = logging.getLogger(__name__)
_DISTRIBUTION = "nvfp4-ddim-optimizer"
_FP32_BYTES = 4
# Parts of published pipelines that text-to-image does not run, and that this library has no
# business to quantise: they are written as absent.
_DROPPED = ("safety_checker", "feature_extractor", "image_encoder")
# Where a model or tokenizer was loaded from says nothing about it, and tells about the machine.
_MACHINE_KEYS = ("_name_or_path", "name_or_path", "is_local", "local_files_only")


def save_artifact(
    pipeline: Any,
    layers: Sequence[LayerEntry],
    directory: str | Path,
    *,
    name: str,
    original_model: str,
    license: str,  # noqa: A002 - the manifest's word
    attribution: str = "",
    quantization: Quantization,
    storage: WeightStorage = WeightStorage.DENSE,
    default_guidance_scale: float = 7.5,
    native_height: int,
    native_width: int,
    created_at: datetime | None = None,
    max_bytes: int | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Write a quantised pipeline as an artifact. It appears complete or not at all.

    The bytes depend on the arguments and zstd's version only; give `created_at` to make them so
    to the last one.
    A safety checker is left out, with a note in the log.

    Args:
        pipeline: A diffusers pipeline or `TaskModel` whose layers were swapped by
            `nn.quantize_module`.
        layers: What `nn.quantize_module` reported, for all components.
        directory: The directory to make.
        name: The name to serve it under: lower-case letters, digits, dots and dashes.
        original_model: Name or hub id of what was quantised.
        license: SPDX expression, or the name of the original's licence.
        attribution: Whom to credit, and for what.
        quantization: How the layers were quantised.
        storage: Whether weights are losslessly compressed, or lie there ready to be mapped.
        default_guidance_scale: Classifier-free guidance where a request names none.
        native_height: Pixels that the model was trained for.
        native_width: Pixels that the model was trained for.
        created_at: Time for the manifest, with a time zone; now when absent.
        max_bytes: What all files but the manifest may take together.
        overwrite: Replace an artifact that is there already.

    Returns:
        The manifest, as written.

    Raises:
        BudgetExceededError: The files take more than `max_bytes`; nothing was written.
        InvalidInputError: The directory exists, or an argument does not fit the manifest.
        ModelNotSupportedError: The pipeline has a component that could not be loaded again.
    """
    target = Path(directory)
    parts = _supported_components(pipeline)
    models = {n: p for n, p in parts.items() if component_kind(type(p).__name__).role == "model"}
    with new_directory(target, may_replace=_is_artifact_or_empty, overwrite=overwrite) as root:
        _write_json(root / MODEL_INDEX_NAME, _model_index(pipeline, parts))
        for component, part in parts.items():
            _save_component(part, root / component, storage)
        files = _list_files(root)
        _check_size(files, max_bytes)
        try:
            manifest = Manifest(
                name=name,
                created_at=(created_at or datetime.now(UTC)).astimezone(UTC),
                created_by=f"{_DISTRIBUTION} {version(_DISTRIBUTION)}",
                pipeline_class=type(pipeline).__name__,
                original_model=original_model,
                original_bytes=_FP32_BYTES * sum(map(parameter_count, models.values())),
                artifact_bytes=sum(file.bytes for file in files),
                license=license,
                attribution=attribution,
                quantization=quantization,
                storage=storage,
                default_guidance_scale=default_guidance_scale,
                native_height=native_height,
                native_width=native_width,
                layers=tuple(layers),
                files=files,
            )
        except ValidationError as error:
            raise InvalidInputError(f"the artifact can't be described: {error}") from error
        fsync_tree(root)  # a manifest on the disk vouches for files that are there too
        (root / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=1) + "\n", "utf-8")
    return manifest


def check_destination(directory: str | Path, *, overwrite: bool) -> None:
    """Find out before long work whether `save_artifact` may write there.

    Args:
        directory: Where the artifact is to be.
        overwrite: Whether an artifact that is there may be replaced.

    Raises:
        InvalidInputError: The directory exists and may not be replaced.
    """
    check_target(Path(directory), may_replace=_is_artifact_or_empty, overwrite=overwrite)


def _supported_components(pipeline: Any) -> dict[str, Any]:
    """The components to write, by name; those that are dropped or absent left out."""
    if not isinstance(pipeline, TaskModel):
        pipeline_class(type(pipeline).__name__)
    parts = {}
    for name, part in sorted(pipeline.components.items()):
        if part is None:
            continue
        if name in _DROPPED and not isinstance(pipeline, TaskModel):
            _LOGGER.warning("%s is not part of the artifact: it was left out", name)
            continue
        component_kind(type(part).__name__)
        if not is_component_name(name):
            raise ModelNotSupportedError(f"{name!r} can't be a component's name")
        parts[name] = part
    return parts


def _model_index(pipeline: Any, parts: dict[str, Any]) -> dict[str, Any]:
    index: dict[str, Any] = {
        "_class_name": type(pipeline).__name__,
        "_diffusers_version": version("diffusers"),
        **(pipeline.index_entries if isinstance(pipeline, TaskModel) else {}),
    }
    for name in sorted(pipeline.components):
        index[name] = [None, None]
        if name in parts:
            class_name = type(parts[name]).__name__
            index[name] = [component_kind(class_name).library, class_name]
    if "safety_checker" in index:
        index["requires_safety_checker"] = False
    return index


def _save_component(part: Any, directory: Path, storage: WeightStorage) -> None:
    directory.mkdir()
    class_name = type(part).__name__
    match component_kind(class_name).role:
        case "tokenizer":
            _save_tokenizer(part, directory)
        case "scheduler":
            _write_json(directory / SCHEDULER_CONFIG_NAME, json.loads(part.to_json_string()))
        case _:
            _write_json(directory / CONFIG_NAME, _model_config(part))
            save_weights(part, directory / weights_name(class_name, storage), storage)


def _save_tokenizer(tokenizer: Any, directory: Path) -> None:
    # How its last call padded and truncated would be saved with it.
    pristine = copy.deepcopy(tokenizer)
    pristine.backend_tokenizer.no_padding()
    pristine.backend_tokenizer.no_truncation()
    pristine.save_pretrained(directory)
    config = directory / "tokenizer_config.json"
    _write_json(config, json.loads(config.read_text("utf-8")))


def _model_config(model: Any) -> dict[str, Any]:
    if not hasattr(model, "to_json_string"):  # transformers models have a config, and are none
        config: dict[str, Any] = json.loads(model.config.to_json_string())
        return config
    # AutoencoderTiny records a value that it does not take back, and complains when it is loaded.
    taken = inspect.signature(type(model).__init__).parameters
    return {
        key: value
        for key, value in json.loads(model.to_json_string()).items()
        if key.startswith("_") or key in taken
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    kept = {key: value for key, value in content.items() if key not in _MACHINE_KEYS}
    path.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", "utf-8")


def _list_files(root: Path) -> tuple[ArtifactFile, ...]:
    return tuple(
        ArtifactFile(
            path=path.relative_to(root).as_posix(),
            bytes=path.stat().st_size,
            sha256=file_sha256(path),
        )
        for path in sorted(root.rglob("*"))
        if path.is_file()
    )


def _check_size(files: Sequence[ArtifactFile], max_bytes: int | None) -> None:
    size = sum(file.bytes for file in files)
    if max_bytes is not None and size > max_bytes:
        raise BudgetExceededError(f"the artifact takes {size} bytes, not {max_bytes}", size)


def _is_artifact_or_empty(directory: Path) -> bool:
    return (directory / MANIFEST_NAME).is_file() or (
        directory.is_dir() and not any(directory.iterdir())
    )

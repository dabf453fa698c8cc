"""Loading an artifact."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights

from nvfp4_ddim_contracts import Manifest
from nvfp4_ddim_optimizer.errors import ArtifactFormatError, InvalidInputError
from nvfp4_ddim_optimizer.nn import NVFP4Layer, replace_with_empty
from nvfp4_ddim_optimizer.task_model import TaskModel

from .cache import WeightsCache
from .layout import (
    CONFIG_NAME,
    MODEL_INDEX_NAME,
    SCHEDULER_CONFIG_NAME,
    TASK_MODEL_CLASS,
    component_class,
    component_kind,
    is_component_name,
    pipeline_class,
    weights_name,
)
from .verify import artifact_sha256, check_files, read_manifest, verify_artifact
from .weights import load_weights

__all__ = [
    "LoadedArtifact",
    "build_model",
    "checked_class_name",
    "load_artifact",
    "load_other",
    "read_json",
]

# What the libraries raise over configurations that they can't use.
_UNUSABLE = (AttributeError, KeyError, OSError, TypeError, ValueError)
_COMPUTE_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class LoadedArtifact:
    """A model ready to run.

    Attributes:
        pipeline: `diffusers.DiffusionPipeline` or `TaskModel`, in evaluation mode, without
            gradients.
        manifest: What the artifact says about itself.
        artifact_sha256: SHA-256 of its manifest, which names it.
    """

    pipeline: Any
    manifest: Manifest
    artifact_sha256: str


def load_artifact(
    directory: str | Path,
    *,
    verify: bool = True,
    compute_dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    cache_directory: Path | None = None,
    keep_stored: bool = False,
) -> LoadedArtifact:
    """Load an artifact.

    Models are built without weights. Weights are decompressed straight to memory; those that are
    stored as they are, or are decompressed to `cache_directory`, are mapped instead, so that on a
    CPU they take memory only as they are used. No code of the artifact is run: classes come from
    a fixed list, tensors from safetensors.

    Args:
        directory: The artifact.
        verify: Check all checksums first. Names and sizes are checked in any case.
        compute_dtype: Of everything that is not packed: float32, float16 or bfloat16.
        device: Where the models go.
        cache_directory: Where to decompress weights to, once for all processes, and map them from:
            see `default_cache_directory`. None decompresses to memory.
        keep_stored: Leave what is not packed in the dtype it is stored in, and mapped, too: its
            layers cast it in every call. The least memory, for a CPU.

    Returns:
        The pipeline, its manifest and its name.

    Raises:
        ArtifactError: As `verify_artifact`; ArtifactFormatError where the files contradict each
            other.
        ModelNotSupportedError: It names a class that is not on the list.
        InvalidInputError: `compute_dtype` is another type.
    """
    if compute_dtype not in _COMPUTE_DTYPES:
        raise InvalidInputError(
            f"the compute dtype must be float32, float16 or bfloat16, not {compute_dtype}"
        )
    root = Path(directory)
    digest = artifact_sha256(root)
    if verify:
        manifest = verify_artifact(root)
    else:
        manifest = read_manifest(root)
        check_files(root, manifest)
    index = read_json(root / MODEL_INDEX_NAME)
    if index.get("_class_name") != manifest.pipeline_class:
        raise ArtifactFormatError(
            f"{MODEL_INDEX_NAME} and the manifest of {root} name different pipelines"
        )
    is_task = manifest.pipeline_class == TASK_MODEL_CLASS
    build_pipeline = (
        partial(TaskModel.from_index, index) if is_task else pipeline_class(manifest.pipeline_class)
    )
    cache = None
    if cache_directory is not None:
        cache = partial(WeightsCache.of_component, cache_directory, digest, verify=verify)
    fill = partial(load_weights, compute_dtype=compute_dtype, keep_stored=keep_stored)
    components = _load_components(root, index, manifest, fill, cache)
    if "safety_checker" in components:
        components["requires_safety_checker"] = False
    try:
        pipeline = build_pipeline(components) if is_task else build_pipeline(**components)
    except (AttributeError, TypeError, ValueError) as error:
        raise ArtifactFormatError(
            f"the components of {root} make no {manifest.pipeline_class}: {error}"
        ) from error
    return LoadedArtifact(pipeline.to(device), manifest, digest)


def _load_components(
    root: Path,
    index: dict[str, Any],
    manifest: Manifest,
    fill: Callable[..., None],
    cache: Callable[[str], WeightsCache] | None,
) -> dict[str, Any]:
    quantised: dict[str, list[str]] = {}
    for layer in manifest.layers:
        quantised.setdefault(layer.component, []).append(layer.name)
    components: dict[str, Any] = {}
    for name, entry in index.items():
        if name.startswith("_") or not isinstance(entry, list):
            continue
        components[name] = None
        if entry != [None, None]:
            class_name = checked_class_name(root, name, entry)
            if component_kind(class_name).role == "model":
                model = _empty_model(root / name, class_name, quantised.pop(name, []))
                path = root / name / weights_name(class_name, manifest.storage)
                fill(model, path, cache=cache and cache(name))
                _check_scales(root / name, model)
                components[name] = model.requires_grad_(False).eval()
            else:
                components[name] = load_other(root / name, class_name)
    if quantised:
        raise ArtifactFormatError(
            f"the manifest of {root} has layers of components that are not there: "
            f"{', '.join(sorted(quantised))}"
        )
    return components


def checked_class_name(root: Path, name: str, entry: list[Any]) -> str:
    """The class named by an entry of model_index.json; only allowed ones pass.

    Raises:
        ArtifactFormatError: It is no component's entry, or names a wrong library.
        ModelNotSupportedError: The class is not on the list.
    """
    if not is_component_name(name) or len(entry) != 2 or not isinstance(entry[1], str):
        raise ArtifactFormatError(
            f"{root / MODEL_INDEX_NAME} has an entry that is no component: {name!r}: {entry!r}"
        )
    if component_kind(entry[1]).library != entry[0]:
        raise ArtifactFormatError(f"{root / MODEL_INDEX_NAME} takes {entry[1]!r} from {entry[0]!r}")
    return entry[1]


def load_other(directory: Path, class_name: str) -> Any:
    """A tokenizer or a scheduler.

    Raises:
        ArtifactFormatError: The directory holds none of that class.
    """
    cls = component_class(class_name)
    try:
        if component_kind(class_name).role == "tokenizer":
            return cls.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        return cls.from_config(read_json(directory / SCHEDULER_CONFIG_NAME))
    except _UNUSABLE as error:
        raise ArtifactFormatError(f"{directory} holds no usable {class_name}: {error}") from error


def _empty_model(directory: Path, class_name: str, layers: list[str]) -> torch.nn.Module:
    """A model on the meta device, with empty NVFP4 layers."""
    try:
        # Buffers stay real: those that are computed (CLIP's position ids) are in no file.
        with init_empty_weights(include_buffers=False):
            model: torch.nn.Module = build_model(
                component_class(class_name), read_json(directory / CONFIG_NAME)
            )
        replace_with_empty(model, layers)
    except _UNUSABLE as error:
        raise ArtifactFormatError(f"{directory} holds no usable {class_name}: {error}") from error
    return model


def build_model(cls: Any, config: dict[str, Any]) -> Any:
    """A diffusers or transformers model from its configuration, with untrained weights."""
    if hasattr(cls, "from_config"):
        return cls.from_config(config)
    return cls(cls.config_class.from_dict(config))


def _check_scales(directory: Path, model: torch.nn.Module) -> None:
    for name, layer in model.named_modules():
        if isinstance(layer, NVFP4Layer):
            try:
                _ = layer.quantized
            except InvalidInputError as error:
                raise ArtifactFormatError(f"{directory}: {name}: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ArtifactFormatError: It can't be read, or is no object.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactFormatError(f"{path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise ArtifactFormatError(f"{path} holds no JSON object")
    return content

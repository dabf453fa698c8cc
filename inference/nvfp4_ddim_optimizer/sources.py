"""Where models come from: artifacts, diffusers directories, the hub, and what is bundled.

Weights are read from safetensors only, and no code of a model repository is ever run.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch

from nvfp4_ddim_contracts import LayerEntry
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_optimizer.errors import (
    ArtifactNotFoundError,
    InvalidInputError,
    ModelNotSupportedError,
)
from nvfp4_ddim_optimizer.nn import LayerCallback, LayerPolicy, quantize_module
from nvfp4_ddim_optimizer.nvfp4 import Quantizer
from nvfp4_ddim_optimizer.task_model import TaskModel

__all__ = [
    "QUANTIZED_COMPONENTS",
    "ModelKind",
    "ModelSource",
    "bundled_models",
    "load_diffusers",
    "local_directory",
    "locate_full_precision",
    "locate_model",
    "parameter_bytes",
    "parameter_digest",
    "quantize_pipeline",
    "quantized_modules",
    "read_model_index",
]

QUANTIZED_COMPONENTS = ("text_encoder", "unet", "vae")
"""What text-to-image runs; the policy decides layer by layer."""

# Parts of published pipelines that text-to-image does not run.
_UNUSED_COMPONENTS = ("safety_checker", "feature_extractor", "image_encoder")
_DIFFUSERS_INDEX = "model_index.json"
_BUNDLED = Path(__file__).parent / "bundled"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_FP32_BYTES = 4


class ModelKind(StrEnum):
    """What a model's name turned out to be."""

    ARTIFACT = "artifact"
    DIFFUSERS = "diffusers"
    HUB = "hub"


@dataclass(frozen=True)
class ModelSource:
    """Where a model is.

    Attributes:
        kind: What is there.
        location: A directory, or a hub id.
    """

    kind: ModelKind
    location: str

    @property
    def name(self) -> str:
        """The last part of the location."""
        if self.kind is ModelKind.HUB:
            return self.location.rpartition("/")[2]
        return Path(self.location).resolve().name

    @property
    def original_name(self) -> str:
        """What to call the model in a manifest: its hub id, or its directory's name."""
        return self.location if self.kind is ModelKind.HUB else self.name


def bundled_models() -> dict[str, Path]:
    """Artifacts that are installed with the library: name -> directory."""
    manifests = sorted(_BUNDLED.glob(f"*/{MANIFEST_NAME}"))
    return {manifest.parent.name: manifest.parent for manifest in manifests}


def locate_model(model: str | Path) -> ModelSource:
    """Find out what a model's name means.

    A directory wins over a bundled model of the same name, and that over a hub id.

    Args:
        model: A directory, the name of a bundled model, or a hub id such as "owner/name".

    Raises:
        ArtifactNotFoundError: The directory holds no model.
        InvalidInputError: The name means nothing.
    """
    directory = Path(model)
    if directory.is_dir():
        if (directory / MANIFEST_NAME).is_file():
            return ModelSource(ModelKind.ARTIFACT, str(directory))
        if (directory / _DIFFUSERS_INDEX).is_file():
            return ModelSource(ModelKind.DIFFUSERS, str(directory))
        raise ArtifactNotFoundError(
            f"{directory} holds neither {MANIFEST_NAME} (a finished NVFP4 artifact) nor "
            f"{_DIFFUSERS_INDEX} (a diffusers model)"
        )
    bundled = bundled_models()
    if str(model) in bundled:
        return ModelSource(ModelKind.ARTIFACT, str(bundled[str(model)]))
    if isinstance(model, str) and _HUB_ID.fullmatch(model):
        return ModelSource(ModelKind.HUB, model)
    names = ", ".join(map(repr, bundled)) or "none"
    raise InvalidInputError(
        f"no model {str(model)!r}: give a directory that exists, a bundled name ({names}), or a "
        "hub id such as 'owner/name'"
    )


def locate_full_precision(model: str | Path) -> ModelSource:
    """Find a model that can be quantised.

    Raises:
        ArtifactNotFoundError: The directory holds no model.
        InvalidInputError: The name means nothing, or an artifact that is quantised already.
    """
    source = locate_model(model)
    if source.kind is ModelKind.ARTIFACT:
        raise InvalidInputError(
            f"{model} is quantised already: quantise the full-precision model it was made from"
        )
    return source


def local_directory(source: ModelSource) -> Path:
    """The directory of a full-precision model: its own, or the snapshot in the hub's cache.

    Args:
        source: A diffusers directory or hub id. What the cache lacks is downloaded.

    Raises:
        ModelNotSupportedError: The hub can't be reached or has no such model in safetensors.
    """
    if source.kind is not ModelKind.HUB:
        return Path(source.location)
    from diffusers import DiffusionPipeline

    with _explained(source.location):
        return Path(
            DiffusionPipeline.download(
                source.location, use_safetensors=True, trust_remote_code=False
            )
        )


def read_model_index(directory: Path) -> dict[str, Any]:
    """What a diffusers directory says that its pipeline consists of.

    Raises:
        ModelNotSupportedError: It is no JSON object.
    """
    path = directory / _DIFFUSERS_INDEX
    with _explained(str(directory)):
        index = json.loads(path.read_bytes())
        if not isinstance(index, dict):
            raise TypeError(f"{path} holds no JSON object")
        return index


def load_diffusers(source: ModelSource, **components: torch.nn.Module) -> Any:
    """Load a full-precision diffusers pipeline in float32, less what text-to-image does not run.

    Args:
        source: A diffusers directory or hub id.
        **components: Parts that are there already, and are taken over as they are.

    Returns:
        `diffusers.DiffusionPipeline`.

    Raises:
        ModelNotSupportedError: The model can't be found, has no safetensors weights, or needs
            code or components that are not there.
    """
    # Imported here: artifacts don't need it, and it takes a second.
    from diffusers import DiffusionPipeline

    with _explained(source.location):
        index = DiffusionPipeline.load_config(source.location)
        absent = {name: None for name in _UNUSED_COMPONENTS if name in index}
        if "requires_safety_checker" in index:
            absent["requires_safety_checker"] = False  # type: ignore[assignment]
        return DiffusionPipeline.from_pretrained(
            source.location,
            torch_dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            **absent,
            **components,
        )


@contextmanager
def _explained(location: str) -> Iterator[None]:
    """Errors of diffusers and of the hub as one of ours."""
    try:
        yield
    except (OSError, ValueError, TypeError, AttributeError, ImportError) as error:
        raise ModelNotSupportedError(
            f"could not load {location!r} as a diffusers model with safetensors weights: {error}"
        ) from error


def quantized_modules(pipeline: Any) -> dict[str, torch.nn.Module]:
    """The components that the policy decides about, by name.

    Args:
        pipeline: `diffusers.DiffusionPipeline` or `TaskModel`.
    """
    if isinstance(pipeline, TaskModel):
        return pipeline.modules
    return {name: getattr(pipeline, name) for name in QUANTIZED_COMPONENTS}


def quantize_pipeline(
    pipeline: Any,
    quantizer: Quantizer,
    *,
    policy: LayerPolicy | None = None,
    on_layer: LayerCallback | None = None,
) -> list[LayerEntry]:
    """Swap a pipeline's layers for NVFP4 ones, in place.

    Args:
        pipeline: `diffusers.DiffusionPipeline` or `TaskModel`.
        quantizer: How weights are quantised.
        policy: Which layers stay as they are.
        on_layer: Called after each layer.

    Returns:
        One entry for each quantised layer.

    Raises:
        InvalidInputError: A weight is not finite.
    """
    policy = policy or LayerPolicy()
    layers: list[LayerEntry] = []
    for component, module in quantized_modules(pipeline).items():
        layers += quantize_module(module, component, policy, quantizer, on_layer)
    return layers


def _modules(pipeline: Any) -> dict[str, torch.nn.Module]:
    components = sorted(pipeline.components.items())
    return {name: part for name, part in components if isinstance(part, torch.nn.Module)}


def parameter_bytes(pipeline: Any) -> int:
    """Size of a full-precision pipeline's parameters in float32."""
    modules = _modules(pipeline).values()
    return _FP32_BYTES * sum(p.numel() for module in modules for p in module.parameters())


def parameter_digest(pipeline: Any) -> str:
    """SHA-256 over all parameters and buffers, by component and name: the identity of a model
    that has no manifest.
    """
    digest = hashlib.sha256()
    for component, module in _modules(pipeline).items():
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{component}.{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()

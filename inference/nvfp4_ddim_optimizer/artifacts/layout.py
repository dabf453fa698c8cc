"""Names inside an artifact, and which classes it may be made of.

Nothing outside the lists below is ever imported, instantiated or read: an artifact is data.
"""

import importlib
import re
from dataclasses import dataclass
from typing import Any

from nvfp4_ddim_contracts import WeightStorage
from nvfp4_ddim_optimizer.errors import ModelNotSupportedError

__all__ = [
    "CONFIG_NAME",
    "DENSE_KEY",
    "DENSE_VERSION",
    "MODEL_INDEX_NAME",
    "PICKLE_SUFFIXES",
    "QUANTIZATION_KEY",
    "SCHEDULER_CONFIG_NAME",
    "TASK_MODEL_CLASS",
    "WEIGHT_SUFFIXES",
    "ComponentKind",
    "component_class",
    "component_kind",
    "is_component_name",
    "pipeline_class",
    "weights_name",
]

MODEL_INDEX_NAME = "model_index.json"
CONFIG_NAME = "config.json"
SCHEDULER_CONFIG_NAME = "scheduler_config.json"

TASK_MODEL_CLASS = "TaskModel"
"""What an index names whose components do one task, and are no diffusers pipeline."""

PICKLE_SUFFIXES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})
"""Files that run code when they are unpickled."""

DENSE_KEY = "nvfp4_ddim_dense"
"""Marks a safetensors file whose tensors are compressed, and holds the table of what they are."""

DENSE_VERSION = 1

QUANTIZATION_KEY = "_quantization_metadata"
"""Where NVIDIA ModelOpt describes quantised layers."""

WEIGHT_SUFFIXES = frozenset({".safetensors", ".gguf", ".h5", ".msgpack", ".npz", ".onnx"})

_COMPONENT_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PIPELINES = frozenset(
    {
        "StableDiffusionPipeline",
        "StableDiffusionImg2ImgPipeline",
        "StableDiffusionInpaintPipeline",
    }
)
_MODELS = {
    "UNet2DConditionModel": "diffusers",
    "AutoencoderKL": "diffusers",
    "AutoencoderTiny": "diffusers",
    "CLIPTextModel": "transformers",
    "UNet2DModel": "diffusers",
    "CodecAnalysis": "nvfp4_ddim_optimizer",
    "CodecHyperAnalysis": "nvfp4_ddim_optimizer",
    "CodecSynthesis": "nvfp4_ddim_optimizer",
    "ImageEncoder": "nvfp4_ddim_optimizer",
    "MaskAutoencoder": "nvfp4_ddim_optimizer",
    "PatchTransform": "nvfp4_ddim_optimizer",
    "Tables": "nvfp4_ddim_optimizer",
}
_MODULES = {"nvfp4_ddim_optimizer": "nvfp4_ddim_optimizer.networks"}
_TOKENIZERS = {"CLIPTokenizer": "transformers"}
_PLAIN_NAMES = {
    "diffusers": "diffusion_pytorch_model.safetensors",
    "transformers": "model.safetensors",
    "nvfp4_ddim_optimizer": "diffusion_pytorch_model.safetensors",
}
_DENSE_NAME = "weights.dense.safetensors"


@dataclass(frozen=True)
class ComponentKind:
    """What a component is: a model, a tokenizer or a scheduler, and of which library."""

    library: str
    role: str


def is_component_name(name: str) -> bool:
    """Whether a name can be that of a component, and so of a directory inside the artifact."""
    return _COMPONENT_NAME.fullmatch(name) is not None


def component_kind(class_name: str) -> ComponentKind:
    """What to do with a component of this class.

    Raises:
        ModelNotSupportedError: The class is not one of those that an artifact may name.
    """
    if class_name in _MODELS:
        return ComponentKind(_MODELS[class_name], "model")
    if class_name in _TOKENIZERS:
        return ComponentKind(_TOKENIZERS[class_name], "tokenizer")
    diffusers: Any = importlib.import_module("diffusers")
    candidate = getattr(diffusers, class_name, None)
    if isinstance(candidate, type) and issubclass(candidate, diffusers.SchedulerMixin):
        return ComponentKind("diffusers", "scheduler")
    known = ", ".join([*_MODELS, *_TOKENIZERS])
    raise ModelNotSupportedError(
        f"a component of class {class_name!r} is not supported; {known} and the schedulers of "
        "diffusers are"
    )


def component_class(class_name: str) -> Any:
    """The class itself.

    Raises:
        ModelNotSupportedError: As `component_kind`.
    """
    library = component_kind(class_name).library
    return getattr(importlib.import_module(_MODULES.get(library, library)), class_name)


def pipeline_class(class_name: str) -> Any:
    """A pipeline's class.

    Raises:
        ModelNotSupportedError: The class is not one of those that an artifact may name.
    """
    if class_name not in _PIPELINES:
        known = ", ".join(sorted([*_PIPELINES, TASK_MODEL_CLASS]))
        raise ModelNotSupportedError(
            f"a pipeline of class {class_name!r} is not supported; {known} are"
        )
    return getattr(importlib.import_module("diffusers"), class_name)


def weights_name(class_name: str, storage: WeightStorage) -> str:
    """File name of a model's weights.

    Plain files have the name that the model's own library would give them; compressed ones have a
    name that no loader looks for.
    """
    if storage is WeightStorage.DENSE:
        return _DENSE_NAME
    return _PLAIN_NAMES[component_kind(class_name).library]

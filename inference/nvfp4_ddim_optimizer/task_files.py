"""A task's model in full precision: a directory in diffusers' form, in fp16 safetensors."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nvfp4_ddim_optimizer.artifacts.atomic import new_directory
from nvfp4_ddim_optimizer.artifacts.layout import (
    MODEL_INDEX_NAME,
    TASK_MODEL_CLASS,
    component_class,
    component_kind,
    is_component_name,
)
from nvfp4_ddim_optimizer.errors import ArtifactFormatError, ModelNotSupportedError
from nvfp4_ddim_optimizer.networks import Tables
from nvfp4_ddim_optimizer.task_model import TaskModel

__all__ = ["load_task_model", "save_task_model"]

# What diffusers raises over directories that it can't use.
_UNUSABLE = (AttributeError, KeyError, OSError, TypeError, ValueError)


def save_task_model(model: TaskModel, directory: Path, *, card: str) -> None:
    """Write a model; it appears complete or not at all, and replaces an earlier one.

    Networks are written in fp16, tables as they are. The model's own networks are not changed.

    Args:
        model: The model.
        directory: The directory to make.
        card: Text of its README.md.
    """
    with new_directory(directory, may_replace=_is_task_model, overwrite=True) as root:
        index: dict[str, Any] = {"_class_name": TASK_MODEL_CLASS, **model.index_entries}
        for name, part in sorted(model.components.items()):
            kind = component_kind(type(part).__name__)
            index[name] = [kind.library, type(part).__name__]
            if kind.role == "scheduler":
                part.save_config(root / name)
            else:
                _save_network(part, root / name)
        (root / "README.md").write_text(card, "utf-8")
        (root / MODEL_INDEX_NAME).write_text(json.dumps(index, indent=2) + "\n", "utf-8")


def _save_network(network: Any, directory: Path) -> None:
    if isinstance(network, Tables):
        network.save_pretrained(directory, safe_serialization=True)
        return
    # ModelMixin.half() warns of layers to keep in float32, of which these networks have none.
    copy: Any = nn.Module.half(type(network).from_config(network.config))
    copy.load_state_dict(network.state_dict())
    copy.save_pretrained(directory, safe_serialization=True)


def load_task_model(directory: Path, index: dict[str, Any]) -> TaskModel:
    """Read a model, in float32.

    Args:
        directory: Where it is.
        index: Content of its model_index.json.

    Raises:
        ModelNotSupportedError: Something is missing, or of a class that is not on the list.
    """
    components = {}
    for name, entry in index.items():
        if name.startswith("_"):
            continue
        if not is_component_name(name) or not isinstance(entry, list) or len(entry) != 2:
            raise ModelNotSupportedError(f"{name!r}: {entry!r} is no component of a model")
        cls = component_class(str(entry[1]))
        try:
            if component_kind(str(entry[1])).role == "scheduler":
                components[name] = cls.from_config(cls.load_config(directory / name))
            else:
                components[name] = _load_network(cls, directory / name)
        except (ArtifactFormatError, *_UNUSABLE) as error:
            raise ModelNotSupportedError(
                f"{directory / name} holds no usable {entry[1]}: {error}"
            ) from error
    return TaskModel.from_index(index, components)


def _load_network(cls: Any, directory: Path) -> Any:
    dtype = None if issubclass(cls, Tables) else torch.float32
    network = cls.from_pretrained(
        directory, torch_dtype=dtype, use_safetensors=True, low_cpu_mem_usage=False
    )
    return network.requires_grad_(False).eval()


def _is_task_model(directory: Path) -> bool:
    return (directory / MODEL_INDEX_NAME).is_file() or not any(directory.iterdir())

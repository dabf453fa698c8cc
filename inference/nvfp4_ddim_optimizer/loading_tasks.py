"""Load a model that does a task other than painting from text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nvfp4_ddim_contracts import DataFree, ScaleSearch
from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_optimizer.artifacts import load_artifact
from nvfp4_ddim_optimizer.artifacts.layout import MODEL_INDEX_NAME, TASK_MODEL_CLASS
from nvfp4_ddim_optimizer.errors import HardwareError
from nvfp4_ddim_optimizer.memory import ComputeDtype, ExecutionPlan
from nvfp4_ddim_optimizer.nn import Residency, set_residency
from nvfp4_ddim_optimizer.nvfp4 import DataFreeQuantizer
from nvfp4_ddim_optimizer.sources import ModelKind, ModelSource, parameter_bytes, parameter_digest
from nvfp4_ddim_optimizer.streaming import open_model
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.base import Task
from nvfp4_ddim_optimizer.tasks.registry import make_tasks

__all__ = ["LoadedTasks", "is_task_model", "load_tasks"]


@dataclass(frozen=True)
class LoadedTasks:
    """A model that is ready to run. Its weights are shared, never copied.

    Attributes:
        name: Its name.
        artifact_sha256: SHA-256 of its manifest, or of its parameters where it has none.
        native_height: Pixels, or cells of a grid, that it was trained at.
        native_width: The same across.
        plan: How it runs.
        weight_bytes: Memory that the weights take.
        tasks: What it can be asked to do.
    """

    name: str
    artifact_sha256: str
    native_height: int
    native_width: int
    plan: ExecutionPlan
    weight_bytes: int
    tasks: Mapping[TaskName, Task[Any, Any]]


def is_task_model(source: ModelSource) -> bool:
    """Whether a model is of this kind. Those of the hub never are."""
    if source.kind is ModelKind.HUB:
        return False
    try:
        index = json.loads((Path(source.location) / MODEL_INDEX_NAME).read_bytes())
    except (OSError, ValueError):
        return False  # whoever loads it says what is wrong with it
    return isinstance(index, dict) and index.get("_class_name") == TASK_MODEL_CLASS


def load_tasks(source: ModelSource, device: str = "cpu", *, verify: bool = True) -> LoadedTasks:
    """Load a model and set it up to run, in float32: such models take megabytes.

    Args:
        source: An artifact, or a directory in full precision, which is quantised on the fly.
        device: "cpu", "cuda" or "cuda:<index>".
        verify: Check an artifact's checksums.

    Raises:
        ArtifactError: The artifact is missing, altered, or of another version.
        ModelNotSupportedError: The model is of a kind that can't be run.
        HardwareError: The device is not there.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise HardwareError(f"there is no {device} here: use device='cpu'")
    if source.kind is ModelKind.ARTIFACT:
        artifact = load_artifact(source.location, verify=verify, device=device)
        model: TaskModel = artifact.pipeline
        name, digest = artifact.manifest.name, artifact.artifact_sha256
        size = artifact.manifest.original_bytes
    else:
        streamed = open_model(source)
        model = streamed.pipeline
        name, size = source.name, parameter_bytes(model)
        streamed.quantize(DataFreeQuantizer(DataFree(scale_search=ScaleSearch.SWEEP)))
        digest = parameter_digest(model)
        model.to(device)
    for module in model.modules.values():
        set_residency(module.eval(), Residency.RESIDENT)
    return LoadedTasks(
        name=name,
        artifact_sha256=digest,
        native_height=model.native_height,
        native_width=model.native_width,
        plan=ExecutionPlan(
            device=device,
            compute_dtype=ComputeDtype.FP32,
            resident=True,
            vae_tiling=False,
            offload=False,
        ),
        weight_bytes=size,
        tasks=make_tasks(model),
    )

"""The components of a model that does one task, and its form on the disk in full precision.

    model_index.json    {"_class_name": "TaskModel", "_task", "_options", name: [library, class], …}
    <component>/        config.json and safetensors, or scheduler_config.json

The NVFP4 artifact holds the same index beside its manifest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from torch import nn

from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_optimizer.diffusion import DiffusionConfig
from nvfp4_ddim_optimizer.errors import ModelNotSupportedError

__all__ = ["TaskIndex", "TaskModel"]


class TaskIndex(BaseModel):
    """What a task model's index says beside its components."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    tasks: tuple[TaskName, ...] = Field(alias="_tasks", min_length=1)
    options: dict[str, JsonValue] = Field(alias="_options")
    native_height: int = Field(alias="_native_height", ge=8)
    native_width: int = Field(alias="_native_width", ge=8)

    @classmethod
    def parse(cls, index: Mapping[str, Any]) -> "TaskIndex":
        """Read it from the content of model_index.json.

        Raises:
            ModelNotSupportedError: It is not one.
        """
        try:
            return cls.model_validate(dict(index))
        except ValidationError as error:
            raise ModelNotSupportedError(f"the index describes no task model: {error}") from error


@dataclass
class TaskModel:
    """A model that does one task, or two that undo each other.

    Attributes:
        tasks: What it can be asked to do.
        native_height: Pixels, or rows of the grid, that it was trained at.
        native_width: The same across.
        components: Networks and the scheduler, by name.
        options: What else the task wants to know; small.
    """

    tasks: tuple[TaskName, ...]
    native_height: int
    native_width: int
    components: dict[str, Any]
    options: dict[str, JsonValue] = field(default_factory=dict)

    @classmethod
    def from_index(cls, index: Mapping[str, Any], components: dict[str, Any]) -> "TaskModel":
        """Put loaded components together.

        Raises:
            ModelNotSupportedError: The index is none of a task model.
        """
        parsed = TaskIndex.parse(index)
        return cls(
            parsed.tasks, parsed.native_height, parsed.native_width, components, parsed.options
        )

    @property
    def index_entries(self) -> dict[str, Any]:
        """What the index says beside the components."""
        return {
            "_tasks": list(self.tasks),
            "_options": self.options,
            "_native_height": self.native_height,
            "_native_width": self.native_width,
        }

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The networks, by name."""
        return {name: c for name, c in self.components.items() if isinstance(c, nn.Module)}

    @property
    def diffusion(self) -> DiffusionConfig:
        """The noise schedule.

        Raises:
            ModelNotSupportedError: There is no component `scheduler`.
        """
        if "scheduler" not in self.components:
            raise ModelNotSupportedError("the model has no scheduler")
        return DiffusionConfig.from_diffusers(self.components["scheduler"])

    def component(self, name: str, *classes: str) -> Any:
        """A component, checked to be of one of the classes.

        Raises:
            ModelNotSupportedError: It is missing or of another class.
        """
        found = type(self.components.get(name)).__name__
        if found not in classes:
            raise ModelNotSupportedError(
                f"component {name!r} of the model is {found}, but must be {' or '.join(classes)}"
            )
        return self.components[name]

    def to(self, device: str | torch.device) -> Self:
        """Move the networks."""
        for module in self.modules.values():
            module.to(device)
        return self

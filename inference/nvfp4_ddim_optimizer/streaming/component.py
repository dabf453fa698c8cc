"""A component that is quantised without its float weights ever being together in memory."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn

from nvfp4_ddim_optimizer.artifacts.layout import CONFIG_NAME, component_class, component_kind
from nvfp4_ddim_optimizer.errors import ModelNotSupportedError
from nvfp4_ddim_optimizer.nn import LayerPolicy, NVFP4Layer, PlannedLayer, plan_layers

from .checkpoint import Checkpoint

__all__ = ["StreamedComponent", "open_component"]

# CLIPTextModel of older checkpoints: its parts are inside `text_model`, and what is computed in
# its constructor is stored, too.
_OLD_PREFIX = "text_model."
_COMPUTED = "embeddings.position_ids"


@dataclass(frozen=True)
class StreamedComponent:
    """A model on the meta device, and the files that its weights are read from.

    Attributes:
        name: The component's name in the pipeline, such as "unet".
        module: The model. Its parameters hold no data; `finish` fills in what is not quantised.
        plan: Its layers that become NVFP4.
        checkpoint: Its files.
        names: Its tensors that the files hold, by the names that the model has for them.
    """

    name: str
    module: nn.Module
    plan: tuple[PlannedLayer, ...]
    checkpoint: Checkpoint
    names: tuple[str, ...]

    def weight(self, layer: str) -> Tensor:
        """A planned layer's weight, mapped from its file in the type that it is stored in.

        Args:
            layer: The layer's path inside the component.

        Raises:
            ModelNotSupportedError: The file is damaged.
        """
        return self.checkpoint.read(_stored_name(f"{layer}.weight", self.checkpoint.names()))

    def kept(self) -> Iterator[tuple[str, Tensor]]:
        """What is not quantised: tensors by name, in float32, each read when due."""
        quantised = {f"{planned.name}.weight" for planned in self.plan}
        stored = self.checkpoint.names()
        for name in self.names:
            if name not in quantised:
                yield name, self.checkpoint.read(_stored_name(name, stored)).to(torch.float32)

    def finish(self) -> None:
        """Read everything that is not quantised; all planned layers are installed."""
        self.module.load_state_dict(dict(self.kept()), strict=False, assign=True)
        self.module.requires_grad_(False).eval()


def open_component(
    directory: Path, class_name: str, policy: LayerPolicy
) -> StreamedComponent | None:
    """Plan a component's quantisation from its configuration and its files' headers.

    Args:
        directory: The component's directory; its name is the component's.
        class_name: Its class, one of those that an artifact may name.
        policy: Which layers stay as they are.

    Returns:
        The component; None if its class or its tensors' names are of a kind that its own library
        has to convert while it loads them, or if none of its layers is to be quantised.

    Raises:
        ModelNotSupportedError: There are no safetensors weights, or the files contradict each
            other.
    """
    try:
        if component_kind(class_name).role != "model":
            return None
    except ModelNotSupportedError:
        return None
    module = _empty_model(directory, class_name)
    plan = tuple(
        planned
        for planned in plan_layers(module, directory.name, policy)
        if planned.keep_reason is None
    )
    if not plan or any(isinstance(part, NVFP4Layer) for part in module.modules()):
        return None
    checkpoint = Checkpoint(directory)
    stored = checkpoint.names()
    expected = module.state_dict()
    taken = {name: _stored_name(name, stored) for name in expected}
    # What is computed in the constructor needs no file, and may still be in one.
    required = {taken[name] for name, tensor in expected.items() if tensor.is_meta}
    spare = {name for name in stored - set(taken.values()) if not name.endswith(_COMPUTED)}
    if spare or not required <= stored:
        return None
    shapes = checkpoint.shapes()
    for name, tensor in expected.items():
        if shapes.get(taken[name], tuple(tensor.shape)) != tuple(tensor.shape):
            raise ModelNotSupportedError(
                f"{directory}: {taken[name]} is {list(shapes[taken[name]])}, but {CONFIG_NAME} "
                f"asks for {list(tensor.shape)}"
            )
    names = tuple(name for name in expected if taken[name] in stored)
    return StreamedComponent(directory.name, module, plan, checkpoint, names)


def _empty_model(directory: Path, class_name: str) -> nn.Module:
    cls = component_class(class_name)
    try:
        config: dict[str, Any] = json.loads((directory / CONFIG_NAME).read_bytes())
        # Buffers stay real: those that are computed (CLIP's position ids) are in no file.
        with init_empty_weights(include_buffers=False):
            if hasattr(cls, "from_config"):
                model: nn.Module = cls.from_config(config)
            else:
                model = cls(cls.config_class.from_dict(config))
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise ModelNotSupportedError(
            f"{directory} holds no usable {class_name}: {error}"
        ) from error
    return model


def _stored_name(name: str, stored: set[str]) -> str:
    return name if name in stored else _OLD_PREFIX + name

"""A diffusers directory that is quantised layer by layer.

    open_model(source) --quantize(quantizer)--> a pipeline with NVFP4 layers, ready to run or save

Components whose float weights would fill memory never exist as float models: they are built on the
meta device and their weights are read one at a time. What is left (the autoencoder, tokenizer,
scheduler, and components of an old layout) its own library loads as always.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nvfp4_ddim_contracts import LayerEntry
from nvfp4_ddim_optimizer.artifacts.layout import TASK_MODEL_CLASS
from nvfp4_ddim_optimizer.errors import ModelNotSupportedError
from nvfp4_ddim_optimizer.nn import (
    LayerCallback,
    LayerPolicy,
    PlannedLayer,
    install,
    plan_layers,
    quantize_layer,
)
from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor, Quantizer
from nvfp4_ddim_optimizer.sources import (
    QUANTIZED_COMPONENTS,
    ModelKind,
    ModelSource,
    load_diffusers,
    local_directory,
    quantize_pipeline,
    quantized_modules,
    read_model_index,
)
from nvfp4_ddim_optimizer.task_files import load_task_model

from .component import StreamedComponent, open_component
from .workspace import Workspace

__all__ = ["StreamedModel", "open_model"]


@dataclass(frozen=True)
class StreamedModel:
    """A model in full precision that is still on the disk.

    Attributes:
        directory: Where it is.
        pipeline: `diffusers.DiffusionPipeline`, or `TaskModel`, which is small and never
            streamed. Parameters of streamed components hold no data until it is quantised.
        components: Those that are streamed.
        policy: Which layers stay as they are.
    """

    directory: Path
    pipeline: Any
    components: tuple[StreamedComponent, ...]
    policy: LayerPolicy

    @property
    def weight_count(self) -> int:
        """How many weights become NVFP4."""
        shapes = [planned.layer.weight.shape for part in self.components for planned in part.plan]
        shapes += [planned.layer.weight.shape for _, planned in self._plan_of_loaded()]
        return sum(shape.numel() for shape in shapes)

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Weights that become NVFP4, as ("component.layer", weight), read when due.

        Ask before quantising: what is quantised is left out.
        """
        for component in self.components:
            for planned in component.plan:
                yield f"{component.name}.{planned.name}", component.weight(planned.name)
        for name, planned in self._plan_of_loaded():
            yield f"{name}.{planned.name}", planned.layer.weight

    def kept(self) -> Iterator[tuple[str, Tensor]]:
        """All other tensors as they are stored, floating-point ones in bfloat16, read when due."""
        quantised = {f"{name}.{planned.name}.weight" for name, planned in self._plan_of_loaded()}
        streamed = {component.name for component in self.components}
        for component in self.components:
            yield from (
                (f"{component.name}.{name}", _narrow(tensor)) for name, tensor in component.kept()
            )
        for name, module in self.pipeline.components.items():
            if name in streamed or not isinstance(module, torch.nn.Module):
                continue
            for key, tensor in module.state_dict().items():
                if f"{name}.{key}" not in quantised:
                    yield f"{name}.{key}", _narrow(tensor)

    def _plan_of_loaded(self) -> Iterator[tuple[str, PlannedLayer]]:
        """Layers that become NVFP4 and are in memory already, with their component's name."""
        streamed = {component.name for component in self.components}
        for name, module in quantized_modules(self.pipeline).items():
            if name in streamed:
                continue
            for planned in plan_layers(module, name, self.policy):
                if planned.keep_reason is None:
                    yield name, planned

    def made_from(self, quantizer: Quantizer) -> dict[str, Any]:
        """Everything that the quantised layers' bytes depend on, as JSON; see `Workspace`."""
        return {
            "library": version("nvfp4-ddim-optimizer"),
            "directory": str(self.directory.resolve()),
            "policy": asdict(self.policy),
            "quantization": quantizer.record.model_dump(mode="json"),
            "files": {part.name: part.checkpoint.fingerprint() for part in self.components},
        }

    @torch.no_grad()
    def quantize(
        self,
        quantizer: Quantizer,
        *,
        workspace: Workspace | None = None,
        on_layer: LayerCallback | None = None,
    ) -> list[LayerEntry]:
        """Quantise `pipeline` in place, layer by layer. It can be done once.

        Args:
            quantizer: How weights are quantised.
            workspace: Where finished layers are kept, and taken from if they are there already.
            on_layer: Told of every finished layer.

        Returns:
            A report on every quantised layer.

        Raises:
            InvalidInputError: A weight is not finite.
            ModelNotSupportedError: A file is damaged.
        """
        entries = []
        for component in self.components:
            for planned in component.plan:
                quantized, entry = self._layer(component, planned.name, quantizer, workspace)
                install(component.module, planned.layer, quantized)
                entries.append(entry)
                if on_layer is not None:
                    on_layer(entry)
            component.finish()
        return entries + quantize_pipeline(
            self.pipeline, quantizer, policy=self.policy, on_layer=on_layer
        )

    def _layer(
        self,
        component: StreamedComponent,
        layer: str,
        quantizer: Quantizer,
        workspace: Workspace | None,
    ) -> tuple[QuantizedTensor, LayerEntry]:
        if workspace is None:
            return quantize_layer(component.name, layer, component.weight(layer), quantizer)
        finished = workspace.load(component.name, layer)
        if finished is None:
            made = quantize_layer(component.name, layer, component.weight(layer), quantizer)
            workspace.save(*made)
            del made  # from here on the layer's memory is the file's
            finished = workspace.load(component.name, layer)
        if finished is None:
            raise ModelNotSupportedError(f"{workspace.directory} does not keep what is written")
        return finished


def _narrow(tensor: Tensor) -> Tensor:
    return tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor


def open_model(source: ModelSource, policy: LayerPolicy | None = None) -> StreamedModel:
    """Plan a model's quantisation; of what is streamed, only headers are read.

    Args:
        source: A diffusers directory or hub id. What the hub's cache lacks is downloaded.
        policy: Which layers stay as they are.

    Raises:
        ModelNotSupportedError: The model can't be found, has no safetensors weights, or needs
            code or components that are not there.
    """
    policy = policy or LayerPolicy()
    directory = local_directory(source)
    index = read_model_index(directory)
    if index.get("_class_name") == TASK_MODEL_CLASS:
        return StreamedModel(directory, load_task_model(directory, index), (), policy)
    components = []
    for name in QUANTIZED_COMPONENTS:
        entry = index.get(name)
        if not isinstance(entry, list) or not isinstance(entry[-1], str):
            continue
        component = open_component(directory / name, entry[-1], policy)
        if component is not None:
            components.append(component)
    pipeline = load_diffusers(
        ModelSource(ModelKind.DIFFUSERS, str(directory)),
        **{part.name: part.module for part in components},
    )
    return StreamedModel(directory, pipeline, tuple(components), policy)

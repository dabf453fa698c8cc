"""From another tool's layout to a pipeline that can be saved as an artifact."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from torch import nn

from nvfp4_ddim_contracts import LayerEntry
from nvfp4_ddim_optimizer.artifacts.layout import (
    CONFIG_NAME,
    MODEL_INDEX_NAME,
    WEIGHT_SUFFIXES,
    component_class,
    component_kind,
    pipeline_class,
)
from nvfp4_ddim_optimizer.artifacts.load import (
    build_model,
    checked_class_name,
    load_other,
    read_json,
)
from nvfp4_ddim_optimizer.errors import ArtifactFormatError, ArtifactNotFoundError
from nvfp4_ddim_optimizer.nn import replace_with_empty

from .component import Component, fill_module, layer_shapes
from .export import ComponentCallback
from .layout import read_safetensors
from .ldm_names import ldm_name
from .record import ExportRecord, read_record
from .registry import ExchangeFormat, detect_format, layout_of

__all__ = ["ImportedModel", "import_model"]


@dataclass(frozen=True)
class ImportedModel:
    """A model that was read from another tool's layout.

    Attributes:
        pipeline: `diffusers.DiffusionPipeline` with NVFP4 layers, everything else in bfloat16.
        layers: Its quantised layers; their error is known only where the record has it.
        formats: The layout of every model that had NVFP4 weights.
        record: What this library wrote when it exported the model; None for others' directories.
    """

    pipeline: Any
    layers: list[LayerEntry]
    formats: dict[str, ExchangeFormat]
    record: ExportRecord | None


def import_model(
    directory: str | Path, *, on_component: ComponentCallback | None = None
) -> ImportedModel:
    """Read a pipeline in diffusers' layout whose weights are another tool's NVFP4.

    The layout of every weights file is recognised. Codes and scales are taken over bit by bit.

    Args:
        directory: With model_index.json and one directory for every component.
        on_component: Told of every finished model.

    Raises:
        ArtifactNotFoundError: There is no model_index.json.
        ArtifactError: A file can't be read, is of no known layout, or does not fit its model.
        ModelNotSupportedError: It names a class that is not on the list.
        NVFP4Error: A layout needs a package that is not installed.
    """
    root = Path(directory)
    if not (root / MODEL_INDEX_NAME).is_file():
        raise ArtifactNotFoundError(
            f"{root} holds no {MODEL_INDEX_NAME}: give a directory with a diffusers pipeline, or "
            "an exported one"
        )
    record = read_record(root)
    index = read_json(root / MODEL_INDEX_NAME)
    components: dict[str, Any] = {}
    layers: list[LayerEntry] = []
    formats: dict[str, ExchangeFormat] = {}
    for name, entry in index.items():
        if not isinstance(entry, list):
            continue
        components[name] = None
        if entry == [None, None]:
            continue
        class_name = checked_class_name(root, name, entry)
        if component_kind(class_name).role != "model":
            components[name] = load_other(root / name, class_name)
            continue
        components[name], component, kind = _import_component(root / name, class_name)
        layers += _entries(name, component, record)
        if kind is not None:
            formats[name] = kind
        if on_component is not None:
            on_component(name)
    if not formats:
        raise ArtifactFormatError(f"no model of {root} has NVFP4 weights in a known layout")
    if record is not None:  # so that the manifest, and with it the artifact's name, is the same
        places = {(e.component, e.name): i for i, e in enumerate(record.source.layers)}
        layers.sort(key=lambda entry: places.get((entry.component, entry.name), len(places)))
    pipeline = _build_pipeline(root, index, components)
    return ImportedModel(pipeline, layers, formats, record)


def _import_component(
    directory: Path, class_name: str
) -> tuple[nn.Module, Component, ExchangeFormat | None]:
    config = read_json(directory / CONFIG_NAME)
    config.pop("quantization_config", None)
    with init_empty_weights(include_buffers=False):
        module: nn.Module = build_model(component_class(class_name), config)
    path = _weights_file(directory)
    kind = detect_format(path)
    if kind is None:
        tensors, _ = read_safetensors(path)
        component = Component({}, tensors)
    else:
        component = _read(path, kind, module, class_name, config)
        in_order = [name for name in layer_shapes(module) if name in component.layers]
        component = Component({n: component.layers[n] for n in in_order}, component.plain)
    replace_with_empty(module, component.layers.keys())
    fill_module(module, component, path)
    return module.requires_grad_(requires_grad=False).eval(), component, kind


def _read(
    path: Path, kind: ExchangeFormat, module: nn.Module, class_name: str, config: dict[str, Any]
) -> Component:
    layout, shapes = layout_of(kind), layer_shapes(module)
    if not layout.ldm_names or class_name != "UNet2DConditionModel":
        return layout.read(path, shapes)
    names = [*shapes, *module.state_dict()]
    back = {ldm_name(name, config): name for name in names}
    component = layout.read(path, {ldm_name(name, config): s for name, s in shapes.items()})
    return component.renamed(lambda name: back.get(name, name))


def _weights_file(directory: Path) -> Path:
    files = sorted(path for path in directory.iterdir() if path.suffix in WEIGHT_SUFFIXES)
    if len(files) != 1:
        raise ArtifactFormatError(
            f"{directory} holds {len(files)} weights files; a model's weights must be in one"
        )
    return files[0]


def _entries(name: str, component: Component, record: ExportRecord | None) -> list[LayerEntry]:
    known = {}
    if record is not None:
        known = {e.name: e for e in record.source.layers if e.component == name}
    return [
        known.get(path)
        or LayerEntry(
            component=name,
            name=path,
            shape=layer.shape,
            bits_per_weight=layer.bits_per_weight,
            sqnr_db=None,
        )
        for path, layer in component.layers.items()
    ]


def _build_pipeline(root: Path, index: dict[str, Any], components: dict[str, Any]) -> Any:
    class_name = index.get("_class_name")
    build = pipeline_class(str(class_name))
    if "safety_checker" in components:
        components["requires_safety_checker"] = False
    try:
        return build(**components)
    except (AttributeError, TypeError, ValueError) as error:
        raise ArtifactFormatError(f"the components of {root} make no {class_name}: {error}") from (
            error
        )

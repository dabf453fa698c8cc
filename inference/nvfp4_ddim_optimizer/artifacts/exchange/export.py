"""From an artifact to another tool's layout."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nvfp4_ddim_contracts import WeightStorage
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_optimizer.artifacts.atomic import new_directory
from nvfp4_ddim_optimizer.artifacts.layout import CONFIG_NAME, MODEL_INDEX_NAME, weights_name
from nvfp4_ddim_optimizer.artifacts.load import load_artifact
from nvfp4_ddim_optimizer.artifacts.weights import save_weights

from .component import Component, take_component
from .layout import ExchangeLayout
from .ldm_names import ldm_name
from .record import RECORD_NAME, ConvStorage, ExportRecord
from .registry import ExchangeFormat, layout_of

__all__ = ["ComponentCallback", "ExportedComponent", "export_artifact"]

ComponentCallback = Callable[[str], None]
"""Called after every component, with its name."""

_LDM_UNET = "UNet2DConditionModel"


@dataclass(frozen=True)
class ExportedComponent:
    """One model of an exported directory.

    Attributes:
        component: Its name.
        file: Its weights, relative to the directory.
        bytes: Their size.
        packed_linears: Linear layers in NVFP4.
        packed_convs: Convolutions in NVFP4, as matrices.
        dequantised: Layers that were dequantised because the tool can't load them packed.
    """

    component: str
    file: str
    bytes: int
    packed_linears: int
    packed_convs: int
    dequantised: int


def export_artifact(
    source: str | Path,
    target: str | Path,
    kind: ExchangeFormat,
    *,
    convs: ConvStorage = ConvStorage.PACKED,
    overwrite: bool = False,
    on_component: ComponentCallback | None = None,
) -> list[ExportedComponent]:
    """Write an artifact in another tool's layout. The directory appears complete or not at all.

    Models without NVFP4 layers are written as diffusers would, in bfloat16; tokenizers and
    schedulers are copied.

    Args:
        source: An artifact; its checksums are checked.
        target: The directory to make.
        kind: The tool.
        convs: Whether layers that the tool can't load stay packed or become bfloat16.
        overwrite: Replace an earlier export.
        on_component: Told of every finished model.

    Returns:
        What became of every model.

    Raises:
        ArtifactError: As `load_artifact`.
        InvalidInputError: The directory exists, or the layout can't hold a tensor.
        NVFP4Error: The layout needs a package that is not installed.
    """
    root = Path(source)
    artifact = load_artifact(root, compute_dtype=torch.bfloat16)
    record = ExportRecord(exported_to=kind, convs=convs, source=artifact.manifest)
    exported = []
    with new_directory(Path(target), may_replace=_is_export_or_empty, overwrite=overwrite) as out:
        shutil.copyfile(root / MODEL_INDEX_NAME, out / MODEL_INDEX_NAME)
        for name, part in sorted(artifact.pipeline.components.items()):
            if part is None:
                continue
            if not isinstance(part, nn.Module):
                shutil.copytree(root / name, out / name)
                continue
            (out / name).mkdir()
            exported.append(_export_model(root, out, name, part, record))
            if on_component is not None:
                on_component(name)
        (out / RECORD_NAME).write_text(record.model_dump_json(indent=1) + "\n", "utf-8")
    return exported


def _export_model(
    root: Path, out: Path, name: str, module: nn.Module, record: ExportRecord
) -> ExportedComponent:
    layout = layout_of(record.exported_to)
    class_name = type(module).__name__
    config = json.loads((root / name / CONFIG_NAME).read_bytes())
    file = out / name / weights_name(class_name, WeightStorage.PLAIN)
    component = take_component(module)
    dense: frozenset[str] = frozenset()
    if not component.layers:
        save_weights(module, file, WeightStorage.PLAIN)
    else:
        file = file.with_suffix(layout.suffix)
        if record.convs is ConvStorage.BF16:
            dense = _not_loadable(component, layout)
            component = component.with_dense(dense)
        if layout.ldm_names and class_name == _LDM_UNET:
            component = component.renamed(lambda tensor: ldm_name(tensor, config))
        layout.write(component, file)
        config |= layout.config(component, sorted(_linears(module) | dense))
    _write_json(out / name / CONFIG_NAME, config)
    packed_convs = sum(len(layer.shape) > 2 for layer in component.layers.values())
    return ExportedComponent(
        component=name,
        file=file.relative_to(out).as_posix(),
        bytes=file.stat().st_size,
        packed_linears=len(component.layers) - packed_convs,
        packed_convs=packed_convs,
        dequantised=len(dense),
    )


def _not_loadable(component: Component, layout: ExchangeLayout) -> frozenset[str]:
    """Layers that the tool can't load packed."""
    names = {
        name
        for name, layer in component.layers.items()
        if len(layer.shape) > 2 or layer.shape[1] % layout.row_multiple
    }
    if layout.ldm_names:
        names |= _context_witness(component)
    return frozenset(names)


def _context_witness(component: Component) -> set[str]:
    """The first cross-attention's key projection of a UNet.

    ComfyUI takes the width of the text's features from this weight's shape, which would be half
    as wide packed (`comfy/model_detection.py`, `calculate_transformer_depth`).
    """
    end = ".attentions.0.transformer_blocks.0.attn2.to_k"
    return set(
        sorted(n for n in component.layers if n.startswith("down_blocks.") and n.endswith(end))[:1]
    )


def _linears(module: nn.Module) -> frozenset[str]:
    return frozenset(name for name, layer in module.named_modules() if isinstance(layer, nn.Linear))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")


def _is_export_or_empty(directory: Path) -> bool:
    if not directory.is_dir() or (directory / MANIFEST_NAME).is_file():
        return False
    return (directory / RECORD_NAME).is_file() or not any(directory.iterdir())

"""The formats by name, and which one a file is of."""

from enum import StrEnum
from pathlib import Path

from nvfp4_ddim_optimizer.errors import ArtifactFormatError

from .comfyui import ComfyUILayout
from .compressed_tensors import CompressedTensorsLayout
from .gguf import GGUFLayout
from .layout import ExchangeLayout, SafetensorsLayout, tensor_names
from .modelopt import ModelOptLayout
from .torchao import TorchAOLayout

__all__ = ["ExchangeFormat", "detect_format", "layout_of"]


class ExchangeFormat(StrEnum):
    """A tool whose NVFP4 files can be written and read."""

    MODELOPT = "modelopt"
    COMPRESSED_TENSORS = "compressed-tensors"
    TORCHAO = "torchao"
    COMFYUI = "comfyui"
    GGUF = "gguf"


_LAYOUTS: dict[ExchangeFormat, ExchangeLayout] = {
    # ComfyUI's files have ModelOpt's names too, so that it is asked first.
    ExchangeFormat.COMFYUI: ComfyUILayout(),
    ExchangeFormat.COMPRESSED_TENSORS: CompressedTensorsLayout(),
    ExchangeFormat.TORCHAO: TorchAOLayout(),
    ExchangeFormat.MODELOPT: ModelOptLayout(),
    ExchangeFormat.GGUF: GGUFLayout(),
}


def layout_of(kind: ExchangeFormat) -> ExchangeLayout:
    """How a tool lays out its files."""
    return _LAYOUTS[kind]


def detect_format(path: Path) -> ExchangeFormat | None:
    """Find out which tool's a weights file is.

    Args:
        path: A .safetensors or .gguf file.

    Returns:
        The format, or None for a file without NVFP4 weights.

    Raises:
        ArtifactCorruptError: The file can't be read.
        ArtifactFormatError: It is of another kind.
    """
    if path.suffix == ".gguf":
        return ExchangeFormat.GGUF
    if path.suffix != ".safetensors":
        raise ArtifactFormatError(f"{path} is neither a .safetensors nor a .gguf file")
    names = tensor_names(path)
    for kind, layout in _LAYOUTS.items():
        if isinstance(layout, SafetensorsLayout) and layout.recognises(names):
            return kind
    return None

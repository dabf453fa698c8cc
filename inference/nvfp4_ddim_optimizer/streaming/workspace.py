"""Finished layers on the disk, so that an interrupted quantisation goes on where it stopped.

    .<name of the artifact>.quantizing/
        made_from.json                     what the layers were made from, and how
        <component>.<layer>.safetensors    a layer's weight in NVFP4, its report in the metadata

The directory lies beside the artifact and is removed once that is complete.
"""

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from nvfp4_ddim_contracts import LayerEntry
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor

__all__ = ["Workspace"]

_MADE_FROM = "made_from.json"
_ENTRY = "entry"
_PARTS = ("codes", "scales", "global_scale")


class Workspace:
    """A directory of finished layers."""

    def __init__(self, directory: Path, made_from: Mapping[str, Any]) -> None:
        """Open a workspace, or begin one.

        Layers that were made from something else are removed.

        Args:
            directory: Where it is to be. Its parents are made too.
            made_from: What every layer's bytes depend on, as JSON.
        """
        self.directory = directory
        wanted = json.dumps(made_from, sort_keys=True, indent=1)
        marker = directory / _MADE_FROM
        if not marker.is_file() or marker.read_text("utf-8") != wanted:
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            _write(marker, wanted.encode())

    @staticmethod
    def beside(target: Path) -> Path:
        """Where the workspace of an artifact is."""
        target = target.absolute()
        return target.parent / f".{target.name}.quantizing"

    def load(self, component: str, layer: str) -> tuple[QuantizedTensor, LayerEntry] | None:
        """A finished layer, mapped from its file; None if it is not there or not whole.

        Args:
            component: The component's name in the pipeline.
            layer: Path of the layer inside it.
        """
        path = self._path(component, layer)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                entry = LayerEntry.model_validate_json(file.metadata()[_ENTRY])
                parts = {part: file.get_tensor(part) for part in _PARTS}
            return QuantizedTensor(**parts, shape=entry.shape), entry
        except (SafetensorError, ValidationError, InvalidInputError, KeyError, TypeError):
            path.unlink()
            return None

    def save(self, quantized: QuantizedTensor, entry: LayerEntry) -> None:
        """Keep a finished layer; it appears complete or not at all.

        Args:
            quantized: Its weight.
            entry: The report on it, which names it.
        """
        path = self._path(entry.component, entry.name)
        temporary = _temporary(path)
        parts = {part: getattr(quantized, part).cpu().contiguous() for part in _PARTS}
        save_file(parts, temporary, metadata={_ENTRY: entry.model_dump_json()})
        temporary.replace(path)

    def remove(self) -> None:
        """Remove the workspace with everything in it."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _path(self, component: str, layer: str) -> Path:
        return self.directory / f"{component}.{layer}.safetensors"


def _write(path: Path, content: bytes) -> None:
    temporary = _temporary(path)
    temporary.write_bytes(content)
    temporary.replace(path)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(2)}")

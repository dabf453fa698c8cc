"""A component's safetensors files, read one tensor at a time.

Pages that a mapped file has touched count as this process's memory for as long as the file is open,
so every tensor is read through a mapping of its own, which goes when the tensor does.
"""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from nvfp4_ddim_optimizer.errors import ModelNotSupportedError

__all__ = ["Checkpoint"]

_STEMS = ("diffusion_pytorch_model", "model")  # diffusers' and transformers' names
_HEADER_LENGTH = struct.Struct("<Q")
_MAX_HEADER_BYTES = 100 * 2**20  # what the safetensors library reads at most


class Checkpoint:
    """The tensors of one component, in one file or in shards with an index.

    Attributes:
        files: The files, by their names' order.
    """

    def __init__(self, directory: Path) -> None:
        """Find the files and read their headers.

        Args:
            directory: A component's directory in a diffusers model.

        Raises:
            ModelNotSupportedError: There are no safetensors weights, or they are damaged.
        """
        self._where = _find(directory)
        self.files = sorted(set(self._where.values()))

    def names(self) -> set[str]:
        """Names of all tensors."""
        return set(self._where)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all tensors; their data is not read."""
        shapes = {}
        for path in self.files:
            with _open(path) as file:
                for name in file.keys():  # noqa: SIM118 - a safetensors file is no mapping
                    shapes[name] = tuple(file.get_slice(name).get_shape())
        return {name: shapes[name] for name in self._where}

    def read(self, name: str) -> Tensor:
        """A tensor as it is stored, mapped from its file.

        Raises:
            ModelNotSupportedError: The file is damaged.
        """
        path = self._where[name]
        try:
            with _open(path) as file:
                tensor: Tensor = file.get_tensor(name)
                return tensor
        except SafetensorError as error:
            raise ModelNotSupportedError(f"{path}: {name} can't be read: {error}") from error

    def fingerprint(self) -> list[dict[str, Any]]:
        """What tells these files from others without reading all of them.

        Returns:
            For each file its name, size, time of change and its header's SHA-256.
        """
        return [
            {
                "name": path.name,
                "bytes": path.stat().st_size,
                "changed_ns": path.stat().st_mtime_ns,
                "header_sha256": _header_sha256(path),
            }
            for path in self.files
        ]


def _find(directory: Path) -> dict[str, Path]:
    """Which file holds which tensor."""
    for stem in _STEMS:
        single = directory / f"{stem}.safetensors"
        if single.is_file():
            with _open(single) as file:
                return dict.fromkeys(file.keys(), single)
        index = directory / f"{stem}.safetensors.index.json"
        if index.is_file():
            return _read_index(index)
    raise ModelNotSupportedError(
        f"{directory} holds no safetensors weights; pickled ones (.bin) are not read, since they "
        "can run code: convert them first"
    )


def _read_index(index: Path) -> dict[str, Path]:
    try:
        weight_map = json.loads(index.read_bytes())["weight_map"]
        # Only names: an index must not lead out of its directory.
        where = {
            str(name): index.parent / Path(str(file)).name for name, file in weight_map.items()
        }
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelNotSupportedError(
            f"{index} is no index of safetensors files: {error}"
        ) from error
    for path in set(where.values()):
        if path.suffix != ".safetensors":
            raise ModelNotSupportedError(f"{index} names {path.name}, which is no safetensors file")
        with _open(path) as file:
            missing = {name for name, place in where.items() if place == path} - set(file.keys())
        if missing:
            raise ModelNotSupportedError(f"{path} lacks {min(missing)!r}, which {index.name} names")
    return where


def _open(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (OSError, SafetensorError) as error:
        raise ModelNotSupportedError(f"{path} can't be read: {error}") from error


def _header_sha256(path: Path) -> str:
    with path.open("rb") as file:
        length = _HEADER_LENGTH.unpack(file.read(_HEADER_LENGTH.size))[0]
        return hashlib.sha256(file.read(min(length, _MAX_HEADER_BYTES))).hexdigest()

"""The safetensors container, where the library of that name gives no offsets and wants all at once.

    8 bytes     length of the header, little-endian
    header      JSON: {name: {"dtype", "shape", "data_offsets"}, "__metadata__": {str: str}}, padded
                with spaces so that the data begins at a multiple of 8
    data        the tensors, one after another, without gaps

Files are checked by the `safetensors` library itself; only offsets are read here. Headers are
written here for two reasons: tensors can be written one at a time, and metadata of several entries
comes out in one order always.

Source: https://github.com/huggingface/safetensors, section "Format".
"""

import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from nvfp4_ddim_optimizer.errors import ArtifactCorruptError

__all__ = [
    "DTYPE_NAMES",
    "TORCH_DTYPES",
    "Container",
    "StoredTensor",
    "header_bytes",
    "read_header",
]

TORCH_DTYPES = {
    "F64": torch.float64,
    "I64": torch.int64,
    "F32": torch.float32,
    "I32": torch.int32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I16": torch.int16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Types that may be stored, by their names in the header."""

DTYPE_NAMES = {dtype: name for name, dtype in TORCH_DTYPES.items()}

_ALIGNMENT = 8  # of the widest type: a mapped tensor must begin at a multiple of its item's size
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class StoredTensor:
    """One entry of the header.

    Attributes:
        name: The tensor's name.
        dtype: Its type's name in the header, such as "BF16".
        shape: Its shape.
        start: Where its bytes begin, counted from the beginning of the file; 0 when only its size
            is known.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int = 0

    @property
    def bytes(self) -> int:
        """Size of its data in the file."""
        return TORCH_DTYPES[self.dtype].itemsize * math.prod(self.shape)


@dataclass(frozen=True)
class Container:
    """A file's header.

    Attributes:
        metadata: Its free entries.
        tensors: Its tensors by name.
    """

    metadata: dict[str, str]
    tensors: dict[str, StoredTensor]


def read_header(path: Path) -> Container:
    """Read a safetensors file's header. Its tensors are not touched.

    Raises:
        ArtifactCorruptError: The file is no safetensors file, truncated, or holds a type that is
            not in `TORCH_DTYPES`.
    """
    try:
        with safe_open(path, framework="pt", device="cpu"):
            pass  # the header is whole, and its offsets tile the rest of the file
        with path.open("rb") as file:
            length = _LENGTH.unpack(file.read(_LENGTH.size))[0]
            content = json.loads(file.read(length))
    except (OSError, SafetensorError, ValueError, struct.error) as error:
        raise ArtifactCorruptError(f"{path} can't be read: {error}") from error
    metadata = content.pop("__metadata__", None) or {}
    return Container(
        metadata,
        {
            name: _stored_tensor(path, name, entry, _LENGTH.size + length)
            for name, entry in content.items()
        },
    )


def header_bytes(tensors: Iterable[StoredTensor], metadata: Mapping[str, str]) -> bytes:
    """The beginning of a file, up to its data.

    Args:
        tensors: In the order of their data. Where they begin is not looked at: they follow each
            other. Wider types must come first, for their alignment.
        metadata: Free entries.

    Returns:
        Length and header, a multiple of 8 bytes. They depend on the arguments only.
    """
    content: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    offset = 0
    for tensor in tensors:
        end = offset + tensor.bytes
        content[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": [offset, end],
        }
        offset = end
    header = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    return _LENGTH.pack(len(header)) + header


def _stored_tensor(path: Path, name: str, entry: dict[str, Any], data: int) -> StoredTensor:
    if entry["dtype"] not in TORCH_DTYPES:
        raise ArtifactCorruptError(
            f"{path}: {name} is of a type that is not used: {entry['dtype']}"
        )
    start = data + entry["data_offsets"][0]
    return StoredTensor(name, entry["dtype"], tuple(entry["shape"]), start)

"""Writing a component's weights, one tensor at a time.

Only compressed bytes are kept, and those in a temporary file: a model of any size is written in
the memory of its largest tensor.
"""

import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvfp4_ddim_contracts import WeightStorage
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor

from .container import DTYPE_NAMES, TORCH_DTYPES, StoredTensor, header_bytes
from .frames import encode_frame
from .layout import DENSE_KEY, DENSE_VERSION, QUANTIZATION_KEY

__all__ = ["WeightsWriter", "in_file_order", "layer_description"]

# What an entry of the table of compressed tensors takes in the header, its name apart.
_ENTRY_BYTES = 32


class WeightsWriter:
    """Writes one safetensors file; use it as a context manager.

    The file appears complete at the end of the block, or not at all if the block raises. Its bytes
    depend on what was added and on zstd's version, not on the order of adding.

        with WeightsWriter(path) as writer:
            writer.add_quantized("conv_in", quantized)
            writer.add("conv_in.bias", bias)
    """

    def __init__(self, path: Path, storage: WeightStorage = WeightStorage.DENSE) -> None:
        """Begin a file.

        Args:
            path: The file to write; see `layout.weights_name`. Its directory must exist.
            storage: Whether tensors are compressed, or lie there ready to be mapped.
        """
        self._path = path
        self._storage = storage
        self._spill: BinaryIO = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
        self._parts: dict[str, StoredTensor] = {}
        self._originals: dict[str, StoredTensor] = {}
        self._layers: dict[str, dict[str, Any]] = {}

    def add(self, name: str, tensor: Tensor) -> int:
        """Add a tensor as it is.

        Args:
            name: As in the model's state_dict.
            tensor: Of any shape and device, of a type in `container.TORCH_DTYPES`.

        Returns:
            Bytes that it takes in the file.

        Raises:
            InvalidInputError: There is one of that name already, or its type can't be stored.
        """
        if name in self._parts:
            raise InvalidInputError(f"the tensor {name} was added twice")
        if tensor.dtype not in DTYPE_NAMES:
            raise InvalidInputError(f"the tensor {name} is {tensor.dtype}, which can't be stored")
        original = StoredTensor(name, DTYPE_NAMES[tensor.dtype], tuple(tensor.shape))
        data = _bytes_of(tensor)
        frame = self._frame(original, data)
        start = self._spill.tell()
        if frame is None:
            self._parts[name] = StoredTensor(name, original.dtype, original.shape, start)
            self._spill.write(data.data)
        else:
            self._originals[name] = original
            self._parts[name] = StoredTensor(name, "U8", (len(frame),), start)
            self._spill.write(frame)
        return self._parts[name].bytes

    def add_quantized(self, layer: str, weight: QuantizedTensor) -> int:
        """Add a quantised layer's weight: codes, block scales, global scale and description.

        Args:
            layer: The layer's path in the model.
            weight: Its weight.

        Returns:
            Bytes that it takes in the file, its share of the header apart.

        Raises:
            InvalidInputError: The layer was added already.
        """
        self._layers[layer] = layer_description(weight.shape)
        return (
            self.add(f"{layer}.weight", weight.codes)
            + self.add(f"{layer}.weight_scale", weight.scales)
            + self.add(f"{layer}.weight_scale_2", weight.global_scale)
        )

    def close(self) -> int:
        """Assemble the file.

        Returns:
            Its size in bytes.
        """
        parts = in_file_order(self._parts.values())
        temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}.partial")
        try:
            with temporary.open("xb") as file:
                file.write(header_bytes(parts, self._metadata()))
                for part in parts:
                    self._spill.seek(part.start)
                    file.write(self._spill.read(part.bytes))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        finally:
            self._spill.close()
            temporary.unlink(missing_ok=True)
        return self._path.stat().st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error_type is None:
            self.close()
        else:
            self._spill.close()

    def _frame(self, original: StoredTensor, data: NDArray[np.uint8]) -> bytes | None:
        """The compressed tensor, or None where it is better stored as it is."""
        if self._storage is WeightStorage.PLAIN:
            return None
        overhead = _ENTRY_BYTES + len(original.name)
        if data.size <= overhead:
            return None
        frame = encode_frame(data, TORCH_DTYPES[original.dtype].itemsize)
        return frame if len(frame) + overhead < data.size else None

    def _metadata(self) -> Mapping[str, str]:
        metadata = {}
        if self._layers:
            layers = dict(sorted(self._layers.items()))
            metadata[QUANTIZATION_KEY] = _json({"format_version": "1.0", "layers": layers})
        if self._storage is WeightStorage.DENSE:
            table = {
                name: [original.dtype, original.shape]
                for name, original in sorted(self._originals.items())
            }
            metadata[DENSE_KEY] = _json({"version": DENSE_VERSION, "tensors": table})
        # Loaders of plain files look at this word, and refuse one that they don't know.
        metadata["format"] = "pt" if self._storage is WeightStorage.PLAIN else DENSE_KEY
        return metadata


def in_file_order(tensors: Iterable[StoredTensor]) -> list[StoredTensor]:
    """Tensors in the order in which they lie in a file: by width, then by name.

    The widest types come first, so that each tensor begins at a multiple of its item's size.
    """
    return sorted(tensors, key=lambda tensor: (-TORCH_DTYPES[tensor.dtype].itemsize, tensor.name))


def layer_description(shape: tuple[int, ...]) -> dict[str, Any]:
    """What the metadata says of a quantised layer.

    Args:
        shape: Its original weight's.

    Returns:
        NVIDIA ModelOpt's entry, and the order of a convolution's columns.
    """
    entry: dict[str, Any] = {"format": "nvfp4", "orig_shape": list(shape)}
    # Other tools flatten a convolution as it is, [out, Cin * kh * kw].
    return entry | {"layout": "ohwi"} if len(shape) == 4 else entry


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"))


def _bytes_of(tensor: Tensor) -> NDArray[np.uint8]:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    data: NDArray[np.uint8] = flat.view(torch.uint8).numpy()
    return data

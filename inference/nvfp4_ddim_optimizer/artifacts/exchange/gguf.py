"""GGUF with ggml's tensor type 40, NVFP4.

    <layer>.weight  type 40 [out, K to 64]: for every 64 elements 4 scale bytes (E4M3 without its
                    sign), then 32 bytes of codes; of each 16 elements, the low nibbles of 8 bytes
                    hold the first 8 and the high nibbles the last 8
    <layer>.scale   F32 [1]: the global scale, which a program multiplies the product with

Everything else keeps its type and name. The key `nvfp4_ddim.quantization_metadata` says what the
layers were, as other layouts' metadata does.

Source: llama.cpp, `ggml/src/ggml-common.h` (block_nvfp4) and `convert_hf_to_gguf.py`
(`_nvfp4_pack`); gguf 0.19, `quants.py`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from nvfp4_ddim_optimizer.errors import (
    ArtifactCorruptError,
    ArtifactFormatError,
    InvalidInputError,
    NVFP4Error,
)
from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor, pack_codes, packed_shapes, unpack_codes

from .component import Component, Shapes, assemble, check_layout, describe, parse_description
from .layout import ExchangeLayout

if TYPE_CHECKING:
    from gguf import GGUFReader, ReaderTensor

__all__ = ["GGUFLayout", "blocks_to_gguf", "gguf_to_blocks"]

_ARCHITECTURE = "nvfp4-ddim"
_DESCRIPTION = "nvfp4_ddim.quantization_metadata"
_SCALARS = "nvfp4_ddim.scalars"
_BLOCKS = 4  # blocks of 16 in a superblock of 64
_SCALE_BYTES, _CODE_BYTES = 4, 32
_PLAIN = (
    torch.float32,
    torch.float16,
    torch.float64,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
)


class GGUFLayout(ExchangeLayout):
    """GGUF files; needs the `gguf` package."""

    tool = "GGUF"
    suffix = ".gguf"
    row_multiple = 64
    # ggml refuses names of 64 characters; diffusers' are longer, the original ones are not.
    ldm_names = True

    def write(self, component: Component, path: Path) -> None:
        """Write a model's tensors.

        Raises:
            InvalidInputError: A tensor is of a type that GGUF does not have.
            NVFP4Error: The gguf package is not installed.
        """
        gguf = _import_gguf()
        writer = gguf.GGUFWriter(path, _ARCHITECTURE)
        writer.add_string(_DESCRIPTION, describe(component))
        scalars = [name for name, tensor in component.plain.items() if tensor.dim() == 0]
        writer.add_string(_SCALARS, ",".join(scalars))
        nvfp4 = gguf.GGMLQuantizationType.NVFP4
        for name, layer in component.layers.items():
            blocks = blocks_to_gguf(layer.codes.cpu(), layer.scales.cpu())
            writer.add_tensor(f"{name}.weight", blocks.numpy(), raw_dtype=nvfp4)
            writer.add_tensor(f"{name}.scale", layer.global_scale.cpu().reshape(1).numpy())
        for name, tensor in component.plain.items():
            array, shape = tensor.cpu().contiguous().flatten(), tensor.shape or (1,)
            if array.dtype == torch.bfloat16:
                raw = array.view(torch.uint8).numpy().reshape(*shape[:-1], 2 * shape[-1])
                writer.add_tensor(name, raw, raw_dtype=gguf.GGMLQuantizationType.BF16)
            elif array.dtype in _PLAIN:
                writer.add_tensor(name, array.numpy().reshape(shape))
            else:
                raise InvalidInputError(f"GGUF can't hold {name}: it is {array.dtype}")
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def read(self, path: Path, shapes: Shapes) -> Component:
        """Read them back; plain tensors stay mapped from the file."""
        gguf = _import_gguf()
        try:
            reader = gguf.GGUFReader(path)
        except (OSError, ValueError, IndexError) as error:
            raise ArtifactCorruptError(f"{path} can't be read as GGUF: {error}") from error
        stored = {tensor.name: tensor for tensor in reader.tensors}
        packed = [
            name.removesuffix(".weight")
            for name, tensor in stored.items()
            if tensor.tensor_type == gguf.GGMLQuantizationType.NVFP4
        ]
        layers = {name: _read_layer(path, name, stored, shapes) for name in packed}
        scalars = (_field(reader, _SCALARS) or "").split(",")
        plain = {name: _read_plain(path, tensor) for name, tensor in stored.items()}
        plain |= {name: plain[name].reshape(()) for name in scalars if name in plain}
        component = Component(layers, plain)
        check_layout(path, component, parse_description(path, _field(reader, _DESCRIPTION)))
        return component


def blocks_to_gguf(codes: Tensor, scales: Tensor) -> Tensor:
    """Rearrange a matrix into superblocks of 64; missing blocks are zeros.

    Args:
        codes: uint8 [rows, 8 * blocks], the low nibble is the even element.
        scales: float8_e4m3fn [rows, blocks].

    Returns:
        uint8 [rows, 36 * ceil(blocks / 4)].
    """
    rows, blocks = scales.shape
    missing = -blocks % _BLOCKS
    elements = unpack_codes(pad(codes, (0, 8 * missing))).view(rows, -1, 2, 8)
    halves = (elements[:, :, 0] | (elements[:, :, 1] << 4)).reshape(rows, -1, _CODE_BYTES)
    scale_bytes = pad(scales.view(torch.uint8), (0, missing)).view(rows, -1, _SCALE_BYTES)
    return torch.cat((scale_bytes, halves), dim=-1).view(rows, -1)


def gguf_to_blocks(data: Tensor, blocks: int) -> tuple[Tensor, Tensor]:
    """Undo `blocks_to_gguf`.

    Args:
        data: uint8 [rows, 36 * n].
        blocks: Blocks of 16 to keep of each row.

    Returns:
        Codes uint8 [rows, 8 * blocks], scales float8_e4m3fn [rows, blocks].
    """
    rows = data.shape[0]
    superblocks = data.reshape(rows, -1, _SCALE_BYTES + _CODE_BYTES)
    scales = superblocks[:, :, :_SCALE_BYTES].reshape(rows, -1)[:, :blocks].contiguous()
    halves = superblocks[:, :, _SCALE_BYTES:].reshape(rows, -1, 8)[:, :blocks]
    elements = torch.cat((halves & 0x0F, halves >> 4), dim=-1).reshape(rows, -1)
    return pack_codes(elements), scales.view(torch.float8_e4m3fn)


def _read_layer(
    path: Path, name: str, stored: dict[str, "ReaderTensor"], shapes: Shapes
) -> QuantizedTensor:
    """Build one layer; what it takes from `stored` it removes."""
    data = torch.from_numpy(stored.pop(f"{name}.weight").data.copy())
    scale = stored.pop(f"{name}.scale", None)
    stored.pop(f"{name}.input_scale", None)
    global_scale = torch.ones(()) if scale is None else torch.from_numpy(scale.data.copy())
    if name not in shapes:
        raise ArtifactFormatError(
            f"{path}: {name!r} is no linear layer or 2-D convolution of the model"
        )
    _, (rows, blocks) = packed_shapes(shapes[name])
    superblocks = -(-blocks // _BLOCKS)
    if data.shape != (rows, superblocks * (_SCALE_BYTES + _CODE_BYTES)):
        raise ArtifactFormatError(
            f"{path}: {name}.weight does not fit the model's {list(shapes[name])}"
        )
    codes, scales = gguf_to_blocks(data, blocks)
    return assemble(path, name, shapes, (codes, scales, global_scale))


def _read_plain(path: Path, tensor: "ReaderTensor") -> Tensor:
    gguf = _import_gguf()
    if tensor.tensor_type == gguf.GGMLQuantizationType.BF16:
        return torch.from_numpy(tensor.data.copy()).view(torch.bfloat16)
    if tensor.data.dtype == "uint8":
        raise ArtifactFormatError(
            f"{path}: {tensor.name} is of GGUF type {tensor.tensor_type.name}; only NVFP4 and "
            "unquantised types can be taken over"
        )
    return torch.from_numpy(tensor.data.copy())


def _field(reader: "GGUFReader", name: str) -> str | None:
    field = reader.get_field(name)
    return None if field is None else str(field.contents())


def _import_gguf() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise NVFP4Error(
            "GGUF files need the gguf package: pip install 'nvfp4-ddim-optimizer[gguf]'"
        ) from error
    return gguf

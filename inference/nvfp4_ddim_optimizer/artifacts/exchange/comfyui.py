"""ComfyUI's layout, which its comfy-kitchen package computes with.

    <layer>.weight          uint8 [out_pad, K_pad / 2], the HIGH nibble is the even element; both
                            sides are padded to multiples of 16
    <layer>.weight_scale    float8_e4m3fn [out to 128, K / 16 to 4], swizzled
    <layer>.weight_scale_2  float32 []
    <layer>.comfy_quant     uint8: the bytes of {"format": "nvfp4"}

Source: ComfyUI, `comfy/ops.py`; comfy-kitchen 0.2.40, `tensor/nvfp4.py` and `float_utils.py`.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from nvfp4_ddim_optimizer.errors import ArtifactFormatError, InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor, swizzle_scales, unswizzle_scales

from .component import Component, Shapes, assemble
from .layout import SafetensorsLayout

__all__ = ["ComfyUILayout"]

_ROW_PADDING = 16
_MARK = json.dumps({"format": "nvfp4"}).encode()


class ComfyUILayout(SafetensorsLayout):
    """ComfyUI's mixed-precision checkpoints."""

    tool = "ComfyUI"
    marker = ".comfy_quant"
    row_multiple = 1
    ldm_names = True

    def pack(self, component: Component) -> dict[str, Tensor]:
        """The tensors to write, by name."""
        tensors = dict(component.plain)
        for name, layer in component.layers.items():
            codes = pad(layer.codes, (0, 0, 0, -layer.codes.shape[0] % _ROW_PADDING))
            tensors[f"{name}.weight"] = _swap_nibbles(codes)
            tensors[f"{name}.weight_scale"] = swizzle_scales(layer.scales)
            tensors[f"{name}.weight_scale_2"] = layer.global_scale
            tensors[f"{name}.comfy_quant"] = torch.tensor(list(_MARK), dtype=torch.uint8)
        return tensors

    def unpack(
        self, path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str], shapes: Shapes
    ) -> Component:
        """Undo `pack`; static scales of activations are left out."""
        del metadata
        layers = {}
        for name in self.layers_of(tensors):
            _check_mark(path, name, self.take(path, tensors, f"{name}.comfy_quant"))
            layers[name] = self._read_layer(path, name, tensors, shapes)
            tensors.pop(f"{name}.input_scale", None)
        return Component(layers, tensors)

    def _read_layer(
        self, path: Path, name: str, tensors: dict[str, Tensor], shapes: Shapes
    ) -> QuantizedTensor:
        codes = self.take(path, tensors, f"{name}.weight")
        stored = self.take(path, tensors, f"{name}.weight_scale")
        global_scale = self.take(path, tensors, f"{name}.weight_scale_2")
        rows = shapes.get(name, (0,))[0]
        if codes.dim() != 2 or codes.dtype != torch.uint8 or codes.shape[0] < rows:
            raise ArtifactFormatError(
                f"{path}: {name}.weight is {codes.dtype} {list(codes.shape)}, not packed NVFP4"
            )
        try:
            scales = unswizzle_scales(
                stored.view(torch.float8_e4m3fn), codes.shape[0], codes.shape[1] // 8
            )
        except InvalidInputError as error:
            raise ArtifactFormatError(f"{path}: {name}: {error}") from error
        parts = (_swap_nibbles(codes[:rows]), scales[:rows], global_scale)
        return assemble(path, name, shapes, parts)


def _swap_nibbles(codes: Tensor) -> Tensor:
    return (codes << 4) | (codes >> 4)


def _check_mark(path: Path, name: str, mark: Tensor) -> None:
    try:
        entry = json.loads(bytes(mark.to(torch.uint8).tolist()))
    except ValueError as error:
        raise ArtifactFormatError(f"{path}: {name}.comfy_quant is no JSON") from error
    # Other keys change what the numbers mean (a rotation, for one).
    kind = entry.get("format") if isinstance(entry, dict) else None
    unknown = sorted(set(entry) - {"format", "full_precision_matrix_mult"}) if kind else []
    if kind != "nvfp4" or unknown:
        raise ArtifactFormatError(
            f"{path}: {name} is in ComfyUI's format {kind!r} with {unknown or 'no options'}; plain "
            "'nvfp4' is supported"
        )

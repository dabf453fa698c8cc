"""torchao's NVFP4Tensor in a safetensors file, flattened as torchao's own helper does it.

    <layer>._weight_qdata             uint8 [out, K / 2], the low nibble is the even element
    <layer>._weight_scale             float8_e4m3fn, swizzled: [32 ceil(out/128), 16 ceil(K/64)]
    <layer>._weight_per_tensor_scale  float32 []

The metadata says of every tensor what it is made of, as JSON; "tensor_names" lists them all.

Source: torchao 0.18, `prototype/safetensors/safetensors_support.py` and
`prototype/mx_formats/nvfp4_tensor.py`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.errors import ArtifactFormatError, InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import BLOCK_SIZE, swizzle_scales, unswizzle_scales

from .component import Component, Shapes, assemble
from .layout import SafetensorsLayout

__all__ = ["TorchAOLayout"]


class TorchAOLayout(SafetensorsLayout):
    """torchao's NVFP4Tensor, weights only."""

    tool = "torchao"
    marker = "._weight_qdata"

    def pack(self, component: Component) -> dict[str, Tensor]:
        """The tensors to write, by name.

        Raises:
            InvalidInputError: A tensor belongs to no submodule, which torchao can't name.
        """
        if orphans := [name for name in component.plain if "." not in name]:
            raise InvalidInputError(f"torchao's files can't hold {orphans[0]!r}: it has no module")
        tensors = dict(component.plain)
        for name, layer in component.layers.items():
            rows, half = layer.codes.shape
            # The same bytes as `swizzle_scales` gives, in torchao's shape.
            shape = (-(-rows // 128) * 32, -(-half // 32) * 16)
            tensors[f"{name}._weight_qdata"] = layer.codes
            tensors[f"{name}._weight_scale"] = swizzle_scales(layer.scales).view(shape)
            tensors[f"{name}._weight_per_tensor_scale"] = layer.global_scale
        return tensors

    def metadata(self, component: Component) -> dict[str, str]:
        """The file's metadata: ours, and what torchao builds its tensors from."""
        quantised = {f"{name}.weight": json.dumps(_tensor_entry()) for name in component.layers}
        plain = dict.fromkeys(component.plain, json.dumps({"_type": "Tensor"}))
        entries = quantised | plain
        return {
            **super().metadata(component),
            **entries,
            "tensor_names": json.dumps(list(entries)),
        }

    def unpack(
        self, path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str], shapes: Shapes
    ) -> Component:
        """Undo `pack`; reads unswizzled scales and tensors without a global scale as well."""
        layers = {}
        for name in self.layers_of(tensors):
            codes = self.take(path, tensors, f"{name}._weight_qdata")
            stored = self.take(path, tensors, f"{name}._weight_scale")
            one = torch.ones((), dtype=torch.float32)
            global_scale = tensors.pop(f"{name}._weight_per_tensor_scale", one)
            tensors.pop(f"{name}._weight_act_per_tensor_scale", None)
            attributes = _attributes(path, metadata, f"{name}.weight")
            scales = stored
            if attributes.get("is_swizzled_scales"):
                try:
                    scales = unswizzle_scales(stored, codes.shape[0], codes.shape[1] // 8)
                except InvalidInputError as error:
                    raise ArtifactFormatError(f"{path}: {name}: {error}") from error
            layers[name] = assemble(path, name, shapes, (codes, scales, global_scale))
        return Component(layers, tensors)


def _tensor_entry() -> dict[str, Any]:
    return {
        "_type": "NVFP4Tensor",
        "_data": {
            "is_swizzled_scales": True,
            "use_triton_kernel": False,
            "act_quant_kwargs": None,
            "block_size": BLOCK_SIZE,
            "orig_dtype": {"_type": "torch.dtype", "_data": "bfloat16"},
        },
        "_tensor_data_names": ["per_tensor_scale", "qdata", "scale"],
    }


def _attributes(path: Path, metadata: Mapping[str, str], name: str) -> dict[str, Any]:
    try:
        entry = json.loads(metadata[name])
        kind, attributes = entry["_type"], entry["_data"]
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactFormatError(f"{path} does not describe {name} as torchao does") from error
    if kind != "NVFP4Tensor" or not isinstance(attributes, dict):
        raise ArtifactFormatError(f"{path}: {name} is a {kind}, not an NVFP4Tensor")
    return attributes

"""compressed-tensors' `nvfp4-pack-quantized`, which llm-compressor writes and vLLM reads.

    <layer>.weight_packed        uint8 [out, K / 2], the low nibble is the even element
    <layer>.weight_scale         float8_e4m3fn [out, K / 16]
    <layer>.weight_global_scale  float32 [1]: what scales are divided by, 1 / ModelOpt's scale

A float32's reciprocal does not always lead back to it. The file's metadata therefore has the scale
itself, so that a round trip changes no bit.

Source: compressed-tensors 0.20, `compressors/nvfp4/base.py` and `config/format.py`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import BLOCK_SIZE

from .component import (
    DESCRIPTION_KEY,
    Component,
    Shapes,
    assemble,
    describe,
    parse_description,
)
from .layout import SafetensorsLayout

__all__ = ["CompressedTensorsLayout"]

_FORMAT = "nvfp4-pack-quantized"


class CompressedTensorsLayout(SafetensorsLayout):
    """compressed-tensors' names; weights only, activations in 16 bits (its scheme NVFP4A16)."""

    tool = "compressed-tensors"
    marker = ".weight_packed"

    def pack(self, component: Component) -> dict[str, Tensor]:
        """The tensors to write, by name.

        Raises:
            InvalidInputError: A global scale has no finite reciprocal.
        """
        tensors = dict(component.plain)
        for name, layer in component.layers.items():
            reciprocal = layer.global_scale.reciprocal().reshape(1)
            if not bool(torch.isfinite(reciprocal)):
                raise InvalidInputError(f"{name}: 1 / {float(layer.global_scale)} is not finite")
            tensors[f"{name}.weight_packed"] = layer.codes
            tensors[f"{name}.weight_scale"] = layer.scales
            tensors[f"{name}.weight_global_scale"] = reciprocal
        return tensors

    def metadata(self, component: Component) -> dict[str, str]:
        """The file's metadata, with the exact global scales."""
        text = describe(component, lambda layer: {"weight_scale_2": float(layer.global_scale)})
        return {"format": "pt", DESCRIPTION_KEY: text}

    def unpack(
        self, path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str], shapes: Shapes
    ) -> Component:
        """Undo `pack`; static scales of activations are left out."""
        entries = parse_description(path, metadata.get(DESCRIPTION_KEY))
        layers = {}
        for name in self.layers_of(tensors):
            codes = self.take(path, tensors, f"{name}.weight_packed")
            scales = self.take(path, tensors, f"{name}.weight_scale")
            divisor = self.take(path, tensors, f"{name}.weight_global_scale")
            tensors.pop(f"{name}.input_global_scale", None)
            global_scale = _global_scale(divisor, entries.get(name, {}).get("weight_scale_2"))
            layers[name] = assemble(path, name, shapes, (codes, scales, global_scale))
        return Component(layers, tensors)

    def config(self, component: Component, kept: Sequence[str]) -> dict[str, Any]:
        """The entry by which transformers and vLLM find out how to read the file."""
        del component
        weights = {
            "num_bits": 4,
            "type": "float",
            "symmetric": True,
            "group_size": BLOCK_SIZE,
            "strategy": "tensor_group",
            "dynamic": False,
            "scale_dtype": "torch.float8_e4m3fn",
        }
        group = {
            "targets": ["Linear"],
            "weights": weights,
            "input_activations": None,
            "output_activations": None,
            "format": _FORMAT,
        }
        return {
            "quantization_config": {
                "quant_method": "compressed-tensors",
                "format": _FORMAT,
                "quantization_status": "compressed",
                "config_groups": {"group_0": group},
                "ignore": sorted(kept),
                "kv_cache_scheme": None,
                "global_compression_ratio": None,
            }
        }


def _global_scale(divisor: Tensor, exact: object) -> Tensor:
    """1 / divisor, or the exact scale that the metadata has, if it is this divisor's."""
    if isinstance(exact, float):
        scale = torch.tensor(exact, dtype=torch.float32)
        if bool((scale.reciprocal() == divisor).all()):
            return scale
    return divisor.to(torch.float32).reciprocal()

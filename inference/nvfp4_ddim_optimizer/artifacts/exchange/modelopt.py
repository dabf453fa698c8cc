"""NVIDIA ModelOpt's layout, which is this library's own.

    <layer>.weight          uint8 [out, K_pad / 2], the low nibble is the even element
    <layer>.weight_scale    float8_e4m3fn [out, K_pad / 16]
    <layer>.weight_scale_2  float32 []

Source: NVIDIA TensorRT Model Optimizer, `modelopt/torch/export/quant_utils.py`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from nvfp4_ddim_optimizer.nvfp4 import BLOCK_SIZE

from .component import Component, Shapes, assemble
from .layout import SafetensorsLayout

__all__ = ["ModelOptLayout"]


class ModelOptLayout(SafetensorsLayout):
    """NVIDIA ModelOpt's names and types."""

    tool = "NVIDIA ModelOpt"
    marker = ".weight_scale_2"

    def pack(self, component: Component) -> dict[str, Tensor]:
        """The tensors to write, by name."""
        tensors = dict(component.plain)
        for name, layer in component.layers.items():
            tensors[f"{name}.weight"] = layer.codes
            tensors[f"{name}.weight_scale"] = layer.scales
            tensors[f"{name}.weight_scale_2"] = layer.global_scale
        return tensors

    def unpack(
        self, path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str], shapes: Shapes
    ) -> Component:
        """Undo `pack`; static scales of activations are left out."""
        del metadata
        layers = {}
        for name in self.layers_of(tensors):
            codes = self.take(path, tensors, f"{name}.weight")
            scales = self.take(path, tensors, f"{name}.weight_scale")
            global_scale = self.take(path, tensors, f"{name}.weight_scale_2")
            tensors.pop(f"{name}.input_scale", None)
            layers[name] = assemble(path, name, shapes, (codes, scales, global_scale))
        return Component(layers, tensors)

    def config(self, component: Component, kept: Sequence[str]) -> dict[str, Any]:
        """The entry that ModelOpt's own exports have."""
        del component
        return {
            "quantization_config": {
                "quant_method": "modelopt",
                "quant_algo": "NVFP4",
                "group_size": BLOCK_SIZE,
                "exclude_modules": sorted(kept),
            }
        }

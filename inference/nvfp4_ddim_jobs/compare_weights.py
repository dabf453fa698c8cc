"""Every quantised layer of an artifact beside the original's: which is the farthest off?

A picture hardly shows that one deep layer was lost or packed wrongly; its weights do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nvfp4_ddim_contracts.incoming import QuantizationProblemCode
from nvfp4_ddim_optimizer.artifacts import load_artifact
from nvfp4_ddim_optimizer.nn import NVFP4Layer
from nvfp4_ddim_optimizer.nvfp4 import dequantize

from .errors import RefusedModelError

__all__ = ["LARGEST_ERROR", "WorstLayer", "compare_weights"]

LARGEST_ERROR = 0.2
"""Of a layer's squared weights. Plain NVFP4 loses 0.01 and calibration trades up to about 0.05;
a layer whose scales are half of what they should be loses 0.25, one that is missing 1."""


@dataclass(frozen=True)
class WorstLayer:
    """The quantised layer that differs most from the original.

    Attributes:
        name: With its component's.
        error: |w - q|² / |w|².
    """

    name: str
    error: float


def compare_weights(original: Mapping[str, Any], artifact: Path) -> WorstLayer | None:
    """Dequantise every layer, one at a time, and compare it with the original's weight.

    Args:
        original: Components of the model in full precision, by name.
        artifact: NVFP4 artifact made of it.

    Returns:
        The layer with the largest error; None where nothing is quantised.

    Raises:
        RefusedModelError: The original has no such layer, or one of another shape.
        NVFP4Error: The artifact can't be loaded.
    """
    worst: WorstLayer | None = None
    for component, module in load_artifact(artifact, verify=False).pipeline.components.items():
        if not isinstance(module, nn.Module):
            continue
        for name, layer in module.named_modules():
            if isinstance(layer, NVFP4Layer):
                found = WorstLayer(f"{component}.{name}", _error(original[component], name, layer))
                if worst is None or not found.error <= worst.error:
                    worst = found
    return worst


def _error(exact: nn.Module, name: str, layer: NVFP4Layer) -> float:
    try:
        weight = exact.get_parameter(f"{name}.weight").detach().float()
    except AttributeError:
        weight = torch.empty(0)
    if tuple(weight.shape) != layer.shape:
        raise RefusedModelError(
            QuantizationProblemCode.DAMAGED_ARTIFACT,
            f"The artifact's layer {name} has the shape {list(layer.shape)}; the model has "
            f"{list(weight.shape) if weight.numel() else 'no weight'} there.",
        )
    difference = _square(weight - dequantize(layer.quantized))
    size = _square(weight)
    if size == 0:
        return 0.0 if difference == 0 else 1.0
    return difference / size


def _square(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64).square())

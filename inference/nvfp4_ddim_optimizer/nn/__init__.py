"""Layers whose weights stay in NVFP4, and putting them into a model.

float model --quantize_module(policy, quantizer)--> the same with NVFP4 layers + a report per layer
"""

from .attention import attend
from .layers import NVFP4Conv2d, NVFP4Layer, NVFP4Linear, Residency, set_residency
from .mapped import release_pages
from .policy import KeepRule, LayerPolicy
from .stored import compute_as_stored, convolve_by_winograd, weight_like
from .swap import (
    LayerCallback,
    PlannedLayer,
    install,
    plan_layers,
    quantize_layer,
    quantize_module,
    replace_with_empty,
)
from .winograd import convolve_3x3_dense, suits_input, suits_weight

__all__ = [
    "KeepRule",
    "LayerCallback",
    "LayerPolicy",
    "NVFP4Conv2d",
    "NVFP4Layer",
    "NVFP4Linear",
    "PlannedLayer",
    "Residency",
    "attend",
    "compute_as_stored",
    "convolve_3x3_dense",
    "convolve_by_winograd",
    "install",
    "plan_layers",
    "quantize_layer",
    "quantize_module",
    "release_pages",
    "replace_with_empty",
    "set_residency",
    "suits_input",
    "suits_weight",
    "weight_like",
]

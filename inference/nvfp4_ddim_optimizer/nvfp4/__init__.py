"""The NVFP4 number format: E2M1 codes, an E4M3 scale for every 16 of them, one FP32 scale on top.

value = code * block scale * global scale, 4.5 bits a weight. Plain torch, on any device.

Source: NVIDIA, "Pretraining Large Language Models with NVFP4", 2025, section 2; OCP Microscaling
Formats (MX) Specification v1.0, section 5.3.3 for E2M1.
"""

from .code_lengths import entropy_bits
from .constants import BLOCK_SIZE, E2M1_MAX, E4M3_MAX
from .dequantize import dequantize, dequantize_matrix
from .packing import pack_codes, unpack_codes
from .quantize import quantize
from .quantizer import (
    DataFreeQuantizer,
    Quantizer,
    RateDistortionQuantizer,
    quantizer_for,
)
from .rate_distortion import quantize_rate_distortion
from .rounding import decode_e2m1, encode_e2m1, round_to_e2m1, round_to_e4m3
from .scales import block_reciprocals, choose_block_scales, choose_global_scale
from .swizzle import swizzle_scales, swizzled_shape, unswizzle_scales
from .tensor import QuantizedTensor, matrix_to_weight, packed_shapes, weight_to_matrix

__all__ = [
    "BLOCK_SIZE",
    "E2M1_MAX",
    "E4M3_MAX",
    "DataFreeQuantizer",
    "QuantizedTensor",
    "Quantizer",
    "RateDistortionQuantizer",
    "block_reciprocals",
    "choose_block_scales",
    "choose_global_scale",
    "decode_e2m1",
    "dequantize",
    "dequantize_matrix",
    "encode_e2m1",
    "entropy_bits",
    "matrix_to_weight",
    "pack_codes",
    "packed_shapes",
    "quantize",
    "quantize_rate_distortion",
    "quantizer_for",
    "round_to_e2m1",
    "round_to_e4m3",
    "swizzle_scales",
    "swizzled_shape",
    "unpack_codes",
    "unswizzle_scales",
    "weight_to_matrix",
]

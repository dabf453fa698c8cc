"""The numbers of the NVFP4 format, named once."""

__all__ = [
    "BLOCK_SIZE",
    "BYTES_PER_BLOCK",
    "E2M1_MAGNITUDES",
    "E2M1_MAX",
    "E2M1_SIGN_BIT",
    "E4M3_MAX",
    "E4M3_MAX_BYTE",
    "E4M3_SMALLEST",
    "GLOBAL_SCALE_MAX",
    "GLOBAL_SCALE_MIN",
    "ROOMY_E4M3_MAX",
]

BLOCK_SIZE = 16
"""Weights that share one block scale."""

BYTES_PER_BLOCK = BLOCK_SIZE // 2
"""Packed codes of one block."""

E2M1_MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Magnitudes by the low three bits of a code; the fourth bit is the sign."""

E2M1_MAX = 6.0
E2M1_SIGN_BIT = 8

E4M3_MAX = 448.0
E4M3_MAX_BYTE = 0x7E
"""Byte of 448; 0x7F is NaN, and the bytes above are negative."""

E4M3_SMALLEST = 2.0**-9
"""Smallest positive (subnormal) E4M3 number."""

ROOMY_E4M3_MAX = 256.0
"""Scale of the largest block where a search may also enlarge it.

1.5 * 256 = 384 is an E4M3 number too, so that even the block with the tensor's largest weight may
map it to 4 instead of 6. Source: Cook et al., "Four Over Six: More Accurate NVFP4 Quantization
with Adaptive Block Scaling", 2025.
"""

GLOBAL_SCALE_MIN = 2.0**-117
"""Smallest global scale: with it 1 / (global scale * E4M3_SMALLEST) is still finite in FP32."""

GLOBAL_SCALE_MAX = (2.0**128 - 2.0**104) / (E2M1_MAX * E4M3_MAX) * (1 - 2.0**-20)
"""Largest global scale: with it the largest product stays below the largest FP32 number."""

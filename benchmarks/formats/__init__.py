"""Other 4-bit weight formats, each as a function of a weight: what comes back, and its bits.

They are put into the same layers of the same models as NVFP4, so that formats can be compared
rather than tools. Blocks run through the flattened weight in its own order: rows that a block does
not divide cost no padding, which favours these formats a little.
"""

from .blocks import FakeQuantized
from .ggml import q4_0, q4_k
from .hqq import hqq
from .nf4 import nf4

__all__ = ["FakeQuantized", "hqq", "nf4", "q4_0", "q4_k"]

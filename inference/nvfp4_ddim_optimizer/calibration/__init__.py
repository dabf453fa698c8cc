"""Calibrated quantisation: what a model really computes on decides which errors matter.

model --DDIM over its own timesteps--> statistics of every layer's input
statistics + weight --GPTQ on the NVFP4 grid, with a bias correction--> quantised layer
"""

from .bias import correct_bias
from .gptq import quantize_gptq
from .quantizer import CalibratedQuantizer
from .statistics import InputStatistics, collect_statistics

__all__ = [
    "CalibratedQuantizer",
    "InputStatistics",
    "collect_statistics",
    "correct_bias",
    "quantize_gptq",
]

"""How far two sets of pictures are from each other: pure functions of tensors.

frechet   distance between two sets' features, taken as Gaussian distributions
features  distance between paired features
images    distance between paired pictures: PSNR and SSIM
"""

from .features import cosine_distance, euclidean_distance
from .frechet import FeatureStatistics, frechet_distance
from .images import psnr, ssim

__all__ = [
    "FeatureStatistics",
    "cosine_distance",
    "euclidean_distance",
    "frechet_distance",
    "psnr",
    "ssim",
]

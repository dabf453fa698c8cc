"""Networks of this project's own models, where diffusers has none that fits.

Each is a diffusers `ModelMixin`: built from a JSON configuration, weights in safetensors.
"""

from .codec_transforms import CodecAnalysis, CodecHyperAnalysis, CodecSynthesis
from .image_encoder import ImageEncoder
from .mask_autoencoder import MaskAutoencoder
from .patch_transform import PatchTransform
from .tables import Tables

__all__ = [
    "CodecAnalysis",
    "CodecHyperAnalysis",
    "CodecSynthesis",
    "ImageEncoder",
    "MaskAutoencoder",
    "PatchTransform",
    "Tables",
]

"""Networks of this project's own models, where diffusers has none that fits.

Each is a diffusers `ModelMixin`: built from a JSON configuration, weights in safetensors.
"""

from .codec_transforms import CodecAnalysis, CodecHyperAnalysis, CodecSynthesis
from .tables import Tables

__all__ = ["CodecAnalysis", "CodecHyperAnalysis", "CodecSynthesis", "Tables"]

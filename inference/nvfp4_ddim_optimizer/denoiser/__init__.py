"""The UNet as the model that DDIM samples from, with the shortcuts that need to see inside it.

passes     the UNet's forward pass cut in two: the deep part, and the outermost layers
cache      deep features kept between the steps of one run (DeepCache)
attention  attention layers that compute with the library's kernel
merging    tokens merged around self-attention (ToMe)
model      all of it as the function that guidance asks
"""

from .attention import install_attention
from .cache import FeatureCache, refresh_timesteps
from .merging import TokenMerging, enable_token_merging
from .model import Denoiser
from .passes import full_pass, is_divisible, shallow_pass

__all__ = [
    "Denoiser",
    "FeatureCache",
    "TokenMerging",
    "enable_token_merging",
    "full_pass",
    "install_attention",
    "is_divisible",
    "refresh_timesteps",
    "shallow_pass",
]

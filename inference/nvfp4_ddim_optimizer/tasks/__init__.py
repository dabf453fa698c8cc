"""What a model can be asked to do. Pure functions over loaded components."""

from .components import TextToImageModel
from .generate import generate_images
from .matching import match_prompts
from .preview import LinearPreview, PreviewDecoder, TinyPreview, default_preview
from .text import PromptTruncatedWarning, TextConditioner

__all__ = [
    "LinearPreview",
    "PreviewDecoder",
    "PromptTruncatedWarning",
    "TextConditioner",
    "TextToImageModel",
    "TinyPreview",
    "default_preview",
    "generate_images",
    "match_prompts",
]

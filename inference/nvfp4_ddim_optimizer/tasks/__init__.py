"""What a model can be asked to do. Pure functions over loaded components."""

from .components import TextToImageModel
from .generate import generate_images
from .text import PromptTruncatedWarning, TextConditioner

__all__ = ["PromptTruncatedWarning", "TextConditioner", "TextToImageModel", "generate_images"]

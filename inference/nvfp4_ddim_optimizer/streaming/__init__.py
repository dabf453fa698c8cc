"""Quantising models that are larger than memory: layer by layer, from the disk to the disk."""

from .model import StreamedModel, open_model
from .workspace import Workspace

__all__ = ["StreamedModel", "Workspace", "open_model"]

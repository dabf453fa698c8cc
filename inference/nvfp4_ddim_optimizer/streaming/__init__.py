"""Quantising models that are larger than memory: layer by layer, from the disk to the disk."""

from .budget import StorageModel
from .calibrate import correct_biases, gather_statistics
from .component import StreamedComponent, open_component
from .job import ArtifactDetails, Budget, Progress, quantize_to_artifact
from .model import StreamedModel, open_model
from .workspace import Workspace

__all__ = [
    "ArtifactDetails",
    "Budget",
    "Progress",
    "StorageModel",
    "StreamedComponent",
    "StreamedModel",
    "Workspace",
    "correct_biases",
    "gather_statistics",
    "open_component",
    "open_model",
    "quantize_to_artifact",
]

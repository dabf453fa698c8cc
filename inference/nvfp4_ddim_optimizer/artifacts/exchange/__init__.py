"""Other tools' NVFP4 files: written from an artifact, and read back bit by bit.

artifact --export_artifact--> a diffusers directory with the tool's weights + nvfp4_export.json
         <--import_model + save_artifact--

One file here for each layout; `registry` has them by name.
"""

from .component import Component, layer_shapes, take_component
from .export import ComponentCallback, ExportedComponent, export_artifact
from .importing import ImportedModel, import_model
from .layout import ExchangeLayout
from .record import RECORD_NAME, ConvStorage, ExportRecord
from .registry import ExchangeFormat, detect_format, layout_of

__all__ = [
    "RECORD_NAME",
    "Component",
    "ComponentCallback",
    "ConvStorage",
    "ExchangeFormat",
    "ExchangeLayout",
    "ExportRecord",
    "ExportedComponent",
    "ImportedModel",
    "detect_format",
    "export_artifact",
    "import_model",
    "layer_shapes",
    "layout_of",
    "take_component",
]

"""Artifacts: a quantised model as a directory that can be checked, moved and mapped into memory.

    model_index.json    what the pipeline consists of, in diffusers' own layout
    <component>/        config.json and one safetensors file; tokenizer, scheduler as in diffusers
    manifest.json       written last: format version, layers, sizes and checksums

Quantised weights have NVIDIA ModelOpt's names and types (see `nn.layers`), in uint8 and not in
safetensors' F4, which most readers do not know. Everything else is bfloat16. Stored densely, as is
the default, each tensor is a zstd frame in `weights.dense.safetensors`; stored plainly, the file
has its library's own name and its tensors can be mapped.

The names below are imported when they are first used: checking an artifact, and fetching one, need
no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cache import default_cache_directory
    from .load import LoadedArtifact, load_artifact
    from .save import check_destination, save_artifact
    from .verify import FileCallback, artifact_sha256, read_manifest, verify_artifact
    from .writer import WeightsWriter

__all__ = [
    "FileCallback",
    "LoadedArtifact",
    "WeightsWriter",
    "artifact_sha256",
    "check_destination",
    "default_cache_directory",
    "load_artifact",
    "read_manifest",
    "save_artifact",
    "verify_artifact",
]

_HOMES = {
    "FileCallback": "verify",
    "LoadedArtifact": "load",
    "WeightsWriter": "writer",
    "artifact_sha256": "verify",
    "check_destination": "save",
    "default_cache_directory": "cache",
    "load_artifact": "load",
    "read_manifest": "verify",
    "save_artifact": "save",
    "verify_artifact": "verify",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

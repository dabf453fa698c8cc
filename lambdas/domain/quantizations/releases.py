"""Whether the registry holds a release as a whole."""

import hashlib

from pydantic import ValidationError

from nvfp4_ddim_contracts import Manifest
from nvfp4_ddim_contracts.keys import artifact_prefix, manifest_key, signature_key

from .ports import ReleaseStore

__all__ = ["is_complete"]


def is_complete(store: ReleaseStore, name: str, artifact_sha256: str) -> bool:
    """Whether a release could be promoted: its manifest, its signature and every file are there."""
    body = store.read(manifest_key(name, artifact_sha256))
    if body is None or hashlib.sha256(body).hexdigest() != artifact_sha256:
        return False
    try:
        manifest = Manifest.model_validate_json(body)
    except ValidationError:
        return False
    prefix = artifact_prefix(name, artifact_sha256)
    sizes = store.sizes(prefix)
    return (
        manifest.name == name
        and signature_key(name, artifact_sha256) in sizes
        and all(sizes.get(prefix + file.path) == file.bytes for file in manifest.files)
    )

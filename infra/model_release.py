"""The model to deploy, as its artifact directory describes it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from nvfp4_ddim_contracts import Manifest
from nvfp4_ddim_contracts.keys import MODELS_PREFIX, artifact_prefix, live_pointer_key
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_contracts.models import LiveModel

from .errors import ModelArtifactError

__all__ = ["ModelRelease", "read_release"]


@dataclass(frozen=True)
class ModelRelease:
    """One artifact and where it goes."""

    directory: Path
    live: LiveModel

    @property
    def prefix(self) -> str:
        """Prefix of the artifact's files in the artifact bucket, with a slash at its end."""
        return artifact_prefix(self.live.name, self.live.artifact_sha256)

    @property
    def family(self) -> str:
        """What the prefixes of all artifacts of this name, and the pointer's key, begin with."""
        return f"{MODELS_PREFIX}{self.live.name}/"

    @property
    def pointer_key(self) -> str:
        """Key of the pointer that makes this artifact the one being served."""
        return live_pointer_key(self.live.name)


def read_release(directory: Path, name: str) -> ModelRelease:
    """Describe an artifact from its manifest, after a look at whether its files are all there.

    Checksums are left to the container, which verifies them before it answers its first request.

    Args:
        directory: An NVFP4 artifact.
        name: The name that the stage deploys it under.

    Returns:
        What to publish.

    Raises:
        ModelArtifactError: It is missing, incomplete or another model.
    """
    path = directory / MANIFEST_NAME
    try:
        text = path.read_bytes()
        manifest = Manifest.model_validate_json(text)
    except FileNotFoundError:
        raise ModelArtifactError(
            f"There is no model artifact at {directory}. Make it with "
            f"`nvfp4-ddim quantize models/{name} {directory}`."
        ) from None
    except ValidationError as error:
        raise ModelArtifactError(f"{path} is no manifest of an NVFP4 artifact: {error}") from error
    if manifest.name != name:
        raise ModelArtifactError(f"{path} describes {manifest.name!r}; the stage deploys {name!r}.")
    for file in manifest.files:
        held = directory / file.path
        if not held.is_file() or held.stat().st_size != file.bytes:
            raise ModelArtifactError(
                f"{held} is missing or not {file.bytes} bytes long. Make the artifact again."
            )
    live = LiveModel.of(manifest, hashlib.sha256(text).hexdigest())
    return ModelRelease(directory=directory, live=live)

"""An artifact directory on the way to the registry: checked, named, and read as an archive."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from nvfp4_ddim_contracts import Manifest
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_optimizer.artifacts.verify import verify_artifact
from nvfp4_ddim_optimizer.errors import ArtifactError

from .errors import UnpublishableError

__all__ = ["LocalArtifact", "read_artifact"]

_UNSTATED = frozenset({"", "NOASSERTION"})


@dataclass(frozen=True)
class LocalArtifact:
    """A directory whose files are what its manifest says. Implements `Archive`."""

    directory: Path
    manifest: Manifest
    manifest_text: bytes

    @property
    def artifact_sha256(self) -> str:
        """The artifact's name in the registry."""
        return hashlib.sha256(self.manifest_text).hexdigest()

    def names(self) -> tuple[str, ...]:
        """The files that the manifest lists, and the manifest; nothing else that lies there."""
        return (*(file.path for file in self.manifest.files), MANIFEST_NAME)

    def size(self, name: str) -> int:
        """Bytes of one of them."""
        if name == MANIFEST_NAME:
            return len(self.manifest_text)
        return next(file.bytes for file in self.manifest.files if file.path == name)

    def open(self, name: str) -> IO[bytes]:
        """A stream of one file's bytes."""
        if name == MANIFEST_NAME:
            return io.BytesIO(self.manifest_text)
        return (self.directory / name).open("rb")


def read_artifact(
    directory: Path,
    *,
    name: str | None = None,
    license_: str | None = None,
    on_bytes: Callable[[int], None],
) -> LocalArtifact:
    """Check a directory, every checksum included.

    Args:
        directory: An NVFP4 artifact.
        name: Another name than its manifest's to publish it under. Name and licence stand in the
            manifest, so that another of either makes another artifact of the same files.
        license_: Another licence than its manifest's.
        on_bytes: Told of the bytes that were checked, file by file.

    Returns:
        What to publish.

    Raises:
        UnpublishableError: It is damaged, or its licence is not stated.
    """
    try:
        manifest = verify_artifact(directory, lambda file: on_bytes(file.bytes))
        text = (directory / MANIFEST_NAME).read_bytes()
    except (ArtifactError, OSError) as error:
        raise UnpublishableError(f"{directory} can't be published: {error}") from error
    stated = {"name": name, "license": license_}
    changes = {
        field: value
        for field, value in stated.items()
        if value is not None and value != getattr(manifest, field)
    }
    if changes:
        manifest = _changed(manifest, changes)
        text = manifest.model_dump_json(indent=2).encode()
    if manifest.license.strip() in _UNSTATED:
        raise UnpublishableError(
            f"The manifest of {directory} states no licence, and whoever fetches the model has to "
            "know it. Name the original's with --license."
        )
    return LocalArtifact(directory, manifest, text)


def _changed(manifest: Manifest, changes: dict[str, str]) -> Manifest:
    try:
        return Manifest.model_validate(manifest.model_dump() | changes)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        )
        raise UnpublishableError(f"The manifest can't say so: {wrong}") from error

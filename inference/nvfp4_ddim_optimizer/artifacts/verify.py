"""Reading an artifact's manifest, and checking the directory against it."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from nvfp4_ddim_contracts import ArtifactFile, Manifest
from nvfp4_ddim_contracts.manifest import FORMAT_VERSION, MANIFEST_NAME
from nvfp4_ddim_optimizer.errors import (
    ArtifactCorruptError,
    ArtifactFormatError,
    ArtifactNotFoundError,
    ArtifactVersionError,
)

from .layout import MODEL_INDEX_NAME, PICKLE_SUFFIXES, WEIGHT_SUFFIXES

__all__ = [
    "FileCallback",
    "artifact_sha256",
    "check_files",
    "file_sha256",
    "read_manifest",
    "verify_artifact",
]

FileCallback = Callable[[ArtifactFile], None]
"""Called after every file that was found to be right."""

_FORMAT = "nvfp4-ddim-artifact"
_MAX_MANIFEST_BYTES = 64 * 2**20
_READ_BYTES = 2**20


def read_manifest(directory: str | Path) -> Manifest:
    """Read an artifact's manifest. Nothing else in the directory is looked at.

    Args:
        directory: The artifact.

    Returns:
        The manifest, valid in itself.

    Raises:
        ArtifactNotFoundError: There is no manifest.
        ArtifactCorruptError: It is cut off or not JSON.
        ArtifactVersionError: It is of a newer format, or of one that is read no more.
        ArtifactFormatError: It is not a manifest of this library.
    """
    path = Path(directory) / MANIFEST_NAME
    data = _manifest_bytes(path)
    content = _parse(path, data)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ArtifactFormatError(
            f"{path} is not the manifest of an NVFP4 artifact: its format is not {_FORMAT!r}"
        )
    version = content.get("format_version")
    # Before anything else is looked at: another format may have fields that are unknown here.
    if isinstance(version, int) and 0 < version != FORMAT_VERSION:
        remedy = (
            "upgrade nvfp4-ddim-optimizer"
            if version > FORMAT_VERSION
            else "quantise the model again"
        )
        raise ArtifactVersionError(
            f"{path} is of format {version}, this library reads {FORMAT_VERSION}: {remedy}"
        )
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise ArtifactFormatError(f"{path} is not a valid manifest: {error}") from error
    _check_paths(path, manifest)
    return manifest


def artifact_sha256(directory: str | Path) -> str:
    """The artifact's name everywhere: SHA-256 of its manifest's bytes, 64 hex digits.

    Raises:
        ArtifactNotFoundError: There is no manifest.
    """
    return hashlib.sha256(_manifest_bytes(Path(directory) / MANIFEST_NAME)).hexdigest()


def verify_artifact(directory: str | Path, on_file: FileCallback | None = None) -> Manifest:
    """Check that an artifact holds exactly what its manifest says.

    Files are read once, a megabyte at a time. Files beside the manifest that are no weights (a
    README) may be there unlisted; inside the components' directories nothing may.

    Args:
        directory: The artifact.
        on_file: Told of every file, in the manifest's order, after it was found right.

    Returns:
        The manifest.

    Raises:
        ArtifactError: As `read_manifest`; ArtifactCorruptError for a file that is missing,
            truncated, altered or unlisted; ArtifactFormatError for a pickle.
    """
    manifest = read_manifest(directory)
    check_files(directory, manifest)
    for entry in manifest.files:
        path = Path(directory) / entry.path
        if file_sha256(path) != entry.sha256:
            raise ArtifactCorruptError(
                f"{path} was altered: its SHA-256 is not the manifest's. Fetch the artifact again"
            )
        if on_file is not None:
            on_file(entry)
    return manifest


def check_files(directory: str | Path, manifest: Manifest) -> None:
    """Check which files there are and their sizes: all of verification that needs no reading.

    Args:
        directory: The artifact.
        manifest: Its manifest.

    Raises:
        ArtifactCorruptError: A file is missing, of the wrong size or unlisted.
        ArtifactFormatError: A file is a pickle.
    """
    root = Path(directory)
    for entry in manifest.files:
        path = root / entry.path
        if not path.is_file():
            raise ArtifactCorruptError(f"{path} is missing. Fetch the artifact again")
        if path.stat().st_size != entry.bytes:
            raise ArtifactCorruptError(
                f"{path} has {path.stat().st_size} bytes instead of {entry.bytes}: it was "
                "truncated or altered. Fetch the artifact again"
            )
    listed = {entry.path for entry in manifest.files} | {MANIFEST_NAME}
    for relative in _files_below(root):
        _refuse_pickle(root / relative)
        in_component = len(relative.parts) > 1
        if str(relative) not in listed and (in_component or relative.suffix in WEIGHT_SUFFIXES):
            raise ArtifactCorruptError(
                f"{root / relative} is not listed in the manifest and might be loaded in another "
                "file's place: remove it"
            )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits, read a megabyte at a time."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _manifest_bytes(path: Path) -> bytes:
    if not path.is_file():
        index = path.with_name(MODEL_INDEX_NAME)
        hint = (
            "; it looks like a diffusers model that is still to be quantised"
            if index.is_file()
            else ": it is not an NVFP4 artifact, or was never finished"
        )
        raise ArtifactNotFoundError(f"{path.parent} holds no {MANIFEST_NAME}{hint}")
    if path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise ArtifactFormatError(f"{path} is too large to be a manifest")
    return path.read_bytes()


def _parse(path: Path, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArtifactCorruptError(f"{path} is truncated or altered: {error}") from error


def _check_paths(path: Path, manifest: Manifest) -> None:
    paths = [entry.path for entry in manifest.files]
    if len(set(paths)) != len(paths) or MANIFEST_NAME in paths:
        raise ArtifactFormatError(f"{path} lists a file twice, or itself")
    if MODEL_INDEX_NAME not in paths:
        raise ArtifactFormatError(f"{path} lists no {MODEL_INDEX_NAME}")
    for listed in paths:
        _refuse_pickle(path.parent / listed)


def _refuse_pickle(path: Path) -> None:
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise ArtifactFormatError(
            f"{path} is a pickle, which can run code when it is loaded; artifacts hold safetensors "
            "only"
        )


def _files_below(root: Path) -> Iterator[PurePosixPath]:
    for path in sorted(root.rglob("*")):
        if not path.is_dir():
            yield PurePosixPath(path.relative_to(root).as_posix())

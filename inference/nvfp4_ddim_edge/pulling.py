"""Fetching a published artifact into a directory: all of it, checked, or nothing."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from nvfp4_ddim_contracts import ArtifactFile, Manifest
from nvfp4_ddim_contracts.keys import artifact_prefix
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_contracts.signatures import SIGNATURE_NAME
from nvfp4_ddim_optimizer.artifacts.verify import artifact_sha256, file_sha256, read_manifest
from nvfp4_ddim_optimizer.errors import ArtifactError

from .downloading import Download, Downloader, disk_errors
from .errors import DiskFullError, TamperedError
from .partial_file import PartialFile
from .ports import Cdn, FreeSpace, Progress, SilentProgress
from .published import SignedManifest, find_manifest
from .staging import Staging, link_or_copy, staging_for
from .trust import PinnedKeys

__all__ = ["PullReport", "PullRequest", "Puller", "free_space"]

_SILENT = SilentProgress()
_RESERVE_BYTES = 16 * 1024 * 1024
"""Left free: a system whose disk is full to the last byte does not work well."""


@dataclass(frozen=True)
class PullRequest:
    """What to fetch where.

    Attributes:
        name: The model.
        target: The directory to make or to replace.
        artifact_sha256: Which artifact; None takes the live one.
        reuse: Other artifacts on this machine, whose files need not be fetched again.
    """

    name: str
    target: Path
    artifact_sha256: str | None = None
    reuse: tuple[Path, ...] = ()


@dataclass(frozen=True)
class PullReport:
    """What became of it."""

    name: str
    artifact_sha256: str
    files: int
    bytes: int
    received_bytes: int
    key_id: str
    key_was_pinned: bool
    was_present: bool


def free_space(directory: Path) -> int:
    """Bytes that this user can write on the disk of a directory."""
    return shutil.disk_usage(directory).free


@dataclass(frozen=True)
class Puller:
    """Fetches artifacts from one CDN."""

    cdn: Cdn
    keys: PinnedKeys
    downloader: Downloader
    free_space: FreeSpace = free_space

    def pull(
        self,
        request: PullRequest,
        progress: Progress = _SILENT,
    ) -> PullReport:
        """Fetch one artifact.

        Args:
            request: What and where.
            progress: Told how far it is.

        Returns:
            What was done.

        Raises:
            EdgeError: It can't be had, is not trusted, altered, or does not fit. The target is as
                it was before.
            ArtifactError: It is not of a format that this library reads.
        """
        found = find_manifest(self.cdn, self.keys, request.name, request.artifact_sha256)
        with staging_for(request.target) as staging, disk_errors(request.target):
            manifest = _begin_tree(staging, found, request.name)
            held = _files_at_hand(manifest, (staging.target, *request.reuse))
            if _is_whole(staging.target, found.artifact_sha256, manifest, held):
                shutil.rmtree(staging.root, ignore_errors=True)
                return _report(found, manifest, 0, was_present=True)
            received = self._complete(staging, found, manifest, held=held, progress=progress)
            staging.publish()
        return _report(found, manifest, received, was_present=False)

    def _complete(
        self,
        staging: Staging,
        found: SignedManifest,
        manifest: Manifest,
        *,
        held: dict[str, Path],
        progress: Progress,
    ) -> int:
        prefix = artifact_prefix(manifest.name, found.artifact_sha256)
        wanted = {entry.sha256: entry for entry in manifest.files if entry.sha256 not in held}
        _drop_others(staging.partial, wanted.keys())
        downloads = [
            Download(
                url_path=prefix + entry.path,
                entry=entry,
                partial=staging.partial / entry.sha256,
                target=staging.tree / entry.path,
            )
            for entry in wanted.values()
        ]
        missing = sum(_missing_bytes(download) for download in downloads)
        progress.begin(manifest.artifact_bytes, manifest.artifact_bytes - missing)
        self._require_space(staging, missing)
        received = self.downloader.fetch(downloads, progress)
        for entry in manifest.files:
            target = staging.tree / entry.path
            if not target.exists():
                source = held.get(entry.sha256) or staging.tree / wanted[entry.sha256].path
                link_or_copy(source, target)
        return received

    def _require_space(self, staging: Staging, missing: int) -> None:
        free = self.free_space(staging.root)
        if missing + _RESERVE_BYTES > free:
            raise DiskFullError(
                f"The disk of {staging.target.parent} has {free:,} bytes free; "
                f"{missing + _RESERVE_BYTES:,} are needed. Free some space, or choose a directory "
                "on another disk"
            )


def _begin_tree(staging: Staging, found: SignedManifest, name: str) -> Manifest:
    """Put manifest and signature into a new tree, and read the manifest as any artifact's."""
    staging.tree.mkdir()
    (staging.tree / MANIFEST_NAME).write_bytes(found.body)
    (staging.tree / SIGNATURE_NAME).write_bytes(found.signature)
    manifest = read_manifest(staging.tree)
    if manifest.name != name:
        # A signed manifest of another model must not pass for this one's.
        raise TamperedError(
            f"The manifest {found.artifact_sha256} is of {manifest.name}, not of {name} as asked. "
            "Nothing was installed; tell the publisher"
        )
    return manifest


def _files_at_hand(manifest: Manifest, directories: tuple[Path, ...]) -> dict[str, Path]:
    """Files of other artifacts that are, by their bytes, files of this one; by SHA-256."""
    wanted = {entry.sha256: entry.bytes for entry in manifest.files}
    found: dict[str, Path] = {}
    for directory in directories:
        try:
            listed = read_manifest(directory).files
        except (ArtifactError, OSError):
            continue
        for entry in listed:
            path = directory / entry.path
            if entry.sha256 in wanted and entry.sha256 not in found and _holds(path, entry):
                found[entry.sha256] = path
    return found


def _holds(path: Path, entry: ArtifactFile) -> bool:
    try:
        return path.stat().st_size == entry.bytes and file_sha256(path) == entry.sha256
    except OSError:
        return False


def _is_whole(target: Path, sha256: str, manifest: Manifest, held: dict[str, Path]) -> bool:
    if not (target / MANIFEST_NAME).is_file() or artifact_sha256(target) != sha256:
        return False
    # A file that was found here under another path may be damaged under its own.
    return all(
        held.get(entry.sha256) == target / entry.path or _holds(target / entry.path, entry)
        for entry in manifest.files
    )


def _missing_bytes(download: Download) -> int:
    return download.entry.bytes - PartialFile.recorded_bytes(download.partial, download.entry.bytes)


def _drop_others(directory: Path, wanted: Collection[str]) -> None:
    """Remove what a pull of another artifact left behind."""
    for path in directory.iterdir():
        if path.name.split(".")[0] not in wanted:
            path.unlink()


def _report(
    found: SignedManifest, manifest: Manifest, received: int, *, was_present: bool
) -> PullReport:
    return PullReport(
        name=manifest.name,
        artifact_sha256=found.artifact_sha256,
        files=len(manifest.files),
        bytes=manifest.artifact_bytes,
        received_bytes=received,
        key_id=found.verdict.key_id,
        key_was_pinned=found.verdict.newly_pinned,
        was_present=was_present,
    )

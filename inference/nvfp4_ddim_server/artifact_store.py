"""Artifacts of the registry on this machine's disk, complete and checked, within a bound.

    <root>/<SHA-256>/            an artifact whose every file was compared with its manifest
    <root>/.<SHA-256>.partial/   one being fetched; a later attempt goes on where this one stopped

The registry publishes a manifest after the files that it lists, so what has a manifest is complete
there; here, a directory takes its name once it is complete.
"""

import hashlib
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from nvfp4_ddim_contracts import ArtifactFile, Manifest
from nvfp4_ddim_contracts.keys import artifact_prefix, manifest_key
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_contracts.models import LiveModel

from .errors import DiskFullError, ModelTooLargeError, UnusableModelError
from .ports import ModelRegistry, StoredArtifact
from .queueing import RETRY_SOON_SECONDS, closed_error

__all__ = ["ArtifactStore"]

_MAX_MANIFEST_BYTES = 64 * 2**20
_READ_BYTES = 2**20


class ArtifactStore:
    """Fetches artifacts and removes those that were not used for longest. Safe across threads."""

    def __init__(
        self,
        registry: ModelRegistry,
        root: Path,
        limit_bytes: int,
        derived: Callable[[str], Path] | None = None,
    ) -> None:
        """Use a directory that nothing else writes to.

        Args:
            registry: Where artifacts come from.
            root: The directory; made when it is first needed.
            limit_bytes: Most bytes to keep, what is being fetched included.
            derived: Directory that loading an artifact may fill with what it made from it; counted
                and removed with the artifact.
        """
        self._registry = registry
        self._root = root
        self._limit_bytes = limit_bytes
        self._derived = derived
        self._leases: Counter[str] = Counter()
        self._space = threading.Lock()
        self._closed = threading.Event()

    @contextmanager
    def lease(self, model: LiveModel) -> Iterator[None]:
        """Keep a model's artifact, once it is there, from being removed."""
        sha256 = model.artifact_sha256
        with self._space:
            self._leases[sha256] += 1
        try:
            yield
        finally:
            with self._space:
                self._leases[sha256] -= 1
                if not self._leases[sha256]:
                    del self._leases[sha256]

    def fetch(self, model: LiveModel) -> StoredArtifact:
        """Find a model's artifact on the disk, or bring it there. Blocks; hold a lease meanwhile.

        Of several calls at once for one artifact, by threads or processes, one fetches it.

        Args:
            model: What the registry says is being served.

        Raises:
            UnusableModelError: What lies in the registry is not what its name promises.
            ModelTooLargeError: It would not fit into an empty store.
            DiskFullError: It does not fit beside what is in use now.
            RegistryError: The registry does not answer.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        target = self._root / model.artifact_sha256
        with FileLock(self._root / f".{model.artifact_sha256}.lock"):
            if not target.is_dir():
                self._bring(model, target)
            os.utime(target)
        manifest = _parse(model, (target / MANIFEST_NAME).read_bytes())
        return StoredArtifact(
            model.artifact_sha256, target, manifest.artifact_bytes + manifest.original_bytes
        )

    def close(self) -> None:
        """Stop what is being fetched at its next piece; it is gone on with another time."""
        self._closed.set()

    def _bring(self, model: LiveModel, target: Path) -> None:
        # Imported here: the package brings torch, for which /ping should not have to wait.
        from nvfp4_ddim_optimizer.artifacts.atomic import fsync_tree

        key = manifest_key(model.name, model.artifact_sha256)
        data = self._registry.read(key, _MAX_MANIFEST_BYTES)
        if hashlib.sha256(data).hexdigest() != model.artifact_sha256:
            raise UnusableModelError(f"The manifest of the model {model.name!r} was altered.")
        manifest = _parse(model, data)
        self._make_room(model, len(data) + sum(file.bytes for file in manifest.files))
        partial = self._partial(model.artifact_sha256)
        partial.mkdir(exist_ok=True)
        prefix = artifact_prefix(model.name, model.artifact_sha256)
        for file in manifest.files:
            self._bring_file(model, file, prefix + file.path, partial / file.path)
        (partial / MANIFEST_NAME).write_bytes(data)
        fsync_tree(partial)
        partial.rename(target)

    def _bring_file(self, model: LiveModel, file: ArtifactFile, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = path.stat().st_size if path.is_file() else 0
        is_resumed = 0 < held <= file.bytes
        self._download(key, path, held if is_resumed else 0, file.bytes)
        if _is_right(path, file):
            return
        path.unlink()
        # What an earlier attempt left may be the wrong part: once more, all of it.
        if is_resumed:
            self._download(key, path, 0, file.bytes)
            if _is_right(path, file):
                return
            path.unlink()
        raise UnusableModelError(
            f"{file.path} of the model {model.name!r} is not what its manifest says: it was "
            "altered, or cut off. Publish the artifact again."
        )

    def _download(self, key: str, path: Path, offset: int, size: int) -> None:
        with path.open("r+b" if offset else "wb") as sink:
            sink.seek(offset)
            if offset >= size:
                return
            written = offset
            for piece in self._registry.stream(key, offset):
                if self._closed.is_set():
                    raise closed_error()
                written += len(piece)
                if written > size:
                    # Longer than declared, and so wrong; it must not fill the disk either.
                    sink.truncate(0)
                    return
                sink.write(piece)

    def _make_room(self, model: LiveModel, needed: int) -> None:
        if needed > self._limit_bytes:
            raise ModelTooLargeError(
                f"The model {model.name!r} takes {needed} bytes of disk; this server keeps at most "
                f"{self._limit_bytes} bytes of models."
            )
        with self._space:
            held = {sha256: self._bytes_of(sha256) for sha256 in self._known()}
            held.pop(model.artifact_sha256, None)
            for sha256 in sorted(held, key=self._last_use):
                if sum(held.values()) + needed <= self._limit_bytes:
                    break
                if self._leases[sha256] == 0:
                    self._remove(sha256)
                    del held[sha256]
            if sum(held.values()) + needed > self._limit_bytes:
                raise DiskFullError(
                    f"There is no room for the model {model.name!r} beside those in use.",
                    retry_after_seconds=RETRY_SOON_SECONDS,
                )

    def _known(self) -> set[str]:
        names = (path.name for path in self._root.iterdir() if path.is_dir())
        return {name.removeprefix(".").removesuffix(".partial") for name in names}

    def _places(self, sha256: str) -> list[Path]:
        places = [self._root / sha256, self._partial(sha256)]
        return [*places, self._derived(sha256)] if self._derived else places

    def _bytes_of(self, sha256: str) -> int:
        files = (path for place in self._places(sha256) for path in place.rglob("*"))
        return sum(path.stat().st_size for path in files if path.is_file())

    def _last_use(self, sha256: str) -> float:
        places = [place for place in self._places(sha256)[:2] if place.exists()]
        return max((place.stat().st_mtime for place in places), default=0.0)

    def _remove(self, sha256: str) -> None:
        for place in self._places(sha256):
            shutil.rmtree(place, ignore_errors=True)

    def _partial(self, sha256: str) -> Path:
        return self._root / f".{sha256}.partial"


def _parse(model: LiveModel, data: bytes) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise UnusableModelError(
            f"The manifest of the model {model.name!r} is not one that this server reads."
        ) from error
    if manifest.name != model.name:
        raise UnusableModelError(
            f"The artifact of the model {model.name!r} calls itself {manifest.name!r}."
        )
    return manifest


def _is_right(path: Path, file: ArtifactFile) -> bool:
    if path.stat().st_size != file.bytes:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == file.sha256

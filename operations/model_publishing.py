"""Bringing an artifact into the registry: files, signature, and the manifest last."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

from lambdas.domain.ports import FileStore, ManifestSigner
from lambdas.domain.publishing import FilePublisher, Publication
from lambdas.domain.release_signing import ReleaseSigning
from nvfp4_ddim_contracts.keys import artifact_prefix
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME

from .errors import IncompleteReleaseError
from .local_artifact import LocalArtifact
from .registry import ModelRegistry

__all__ = ["ModelPublisher"]

_READ_BYTES = 2**20
# A release lies below its own checksum: what was cached of it stays right.
_IMMUTABLE = "public, max-age=31536000, immutable"


class _Counted(io.RawIOBase):
    """Tells how much of a stream was read."""

    def __init__(self, inner: IO[bytes], on_bytes: Callable[[int], None]) -> None:
        super().__init__()
        self._inner = inner
        self._on_bytes = on_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        buffer[: len(data)] = data
        self._on_bytes(len(data))
        return len(data)


@dataclass(frozen=True)
class _MissingFiles:
    """Implements `FileStore`: uploads to another one what it does not hold yet."""

    inner: FileStore
    held: dict[str, int]
    on_bytes: Callable[[int], None]
    uploaded: list[str] = field(default_factory=list)

    def upload(self, key: str, stream: IO[bytes], content_type: str, cache_control: str) -> None:
        if key in self.held:
            self.on_bytes(self.held[key])
            return
        counted = io.BufferedReader(_Counted(stream, self.on_bytes), _READ_BYTES)
        self.inner.upload(key, counted, content_type, cache_control)
        self.uploaded.append(key)

    def read(self, key: str) -> bytes | None:
        return self.inner.read(key)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def delete_below(self, prefix: str, *, keep: frozenset[str], purge_versions: bool) -> None:
        self.inner.delete_below(prefix, keep=keep, purge_versions=purge_versions)


@dataclass(frozen=True)
class ModelPublisher:
    """Stages artifacts; nothing serves them yet."""

    registry: ModelRegistry
    files: FileStore
    signer: ManifestSigner

    def publish(
        self,
        artifact: LocalArtifact,
        *,
        again: bool = False,
        on_bytes: Callable[[int], None],
    ) -> tuple[str, ...]:
        """Upload what the registry lacks of an artifact.

        S3 shows an object once it is whole, so that one of the right size is not uploaded again.

        Args:
            artifact: What to publish.
            again: Upload everything, whatever is there.
            on_bytes: Told of bytes that were read for the upload, or are in the registry already.

        Returns:
            Keys that were written; none if the release was complete.
        """
        name, sha256 = artifact.manifest.name, artifact.artifact_sha256
        if not again and self._is_complete(name, sha256):
            return ()
        prefix = artifact_prefix(name, sha256)
        sizes = {} if again else self.registry.store.sizes(prefix)
        listed = {prefix + each.path: each.bytes for each in artifact.manifest.files}
        missing = _MissingFiles(
            self.files,
            {key: size for key, size in listed.items() if sizes.get(key) == size},
            on_bytes,
        )
        publisher = FilePublisher(missing, lambda: None, ReleaseSigning(self.signer))
        publisher.publish(
            artifact,
            Publication(prefix=prefix, last_name=MANIFEST_NAME, cache_control=_IMMUTABLE),
        )
        return tuple(missing.uploaded)

    def _is_complete(self, name: str, sha256: str) -> bool:
        try:
            self.registry.check(name, sha256)
        except IncompleteReleaseError:
            return False
        return True

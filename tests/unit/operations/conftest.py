"""A registry in memory."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from operations.errors import PointerChangedError
from operations.local_artifact import LocalArtifact, read_artifact
from operations.model_publishing import ModelPublisher
from operations.registry import ModelRegistry, StoredObject
from tests.support_models import write_artifact


class MemoryBucket:
    """`RegistryStore` and `FileStore`; `before_write` may raise, or change what is there."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.written: list[str] = []
        self.before_write: Callable[[str], None] = lambda key: None

    def sizes(self, prefix: str) -> dict[str, int]:
        return {key: len(body) for key, body in self.objects.items() if key.startswith(prefix)}

    def read(self, key: str) -> StoredObject | None:
        body = self.objects.get(key)
        return None if body is None else StoredObject(body, hashlib.sha256(body).hexdigest())

    def replace(self, key: str, body: bytes, expected: StoredObject | None) -> None:
        self.before_write(key)
        if self.read(key) != expected:
            raise PointerChangedError(key)
        self.objects[key] = body
        self.written.append(key)


class MemoryFiles:
    """`FileStore` on the same objects."""

    def __init__(self, bucket: MemoryBucket) -> None:
        self.bucket = bucket

    def upload(self, key: str, stream: IO[bytes], content_type: str, cache_control: str) -> None:
        self.bucket.before_write(key)
        self.bucket.objects[key] = stream.read()
        self.bucket.written.append(key)

    def read(self, key: str) -> bytes | None:
        return self.bucket.objects.get(key)

    def delete(self, key: str) -> None:
        self.bucket.objects.pop(key, None)

    def delete_below(self, prefix: str, *, keep: frozenset[str], purge_versions: bool) -> None:
        for key in [key for key in self.bucket.sizes(prefix) if key not in keep]:
            self.delete(key)


class FixedSigner:
    """`ManifestSigner` whose signature is long enough and nothing more."""

    def public_key(self) -> bytes:
        return b"public"

    def sign(self, message: bytes) -> bytes:
        return hashlib.sha256(message).digest()


class World:
    """A registry, and artifacts to publish there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bucket = MemoryBucket()
        self.registry = ModelRegistry(self.bucket)
        self.publisher = ModelPublisher(self.registry, MemoryFiles(self.bucket), FixedSigner())

    def artifact(self, seed: int = 0) -> LocalArtifact:
        directory = write_artifact(self.directory / str(seed), seed)
        return read_artifact(directory, on_bytes=lambda count: None)

    def publish(self, seed: int = 0, *, again: bool = False) -> tuple[str, ...]:
        return self.publisher.publish(self.artifact(seed), again=again, on_bytes=lambda count: None)

    def staged(self, seed: int) -> str:
        """The checksum of a release that was published."""
        self.publish(seed)
        return self.artifact(seed).artifact_sha256

    def live(self) -> str | None:
        found = self.registry.live("m")
        return found.artifact_sha256 if found else None


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)

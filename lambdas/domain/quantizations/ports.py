"""What quantisations need from the world beside the service's own ports."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Protocol

from lambdas.domain.ports import FileStore

__all__ = ["DroppedFiles", "DroppedObject", "ReleaseStore"]


@dataclass(frozen=True)
class DroppedObject:
    """An object in the bucket of dropped models."""

    key: str
    bytes: int
    modified: datetime


class DroppedFiles(Protocol):
    """The bucket of dropped models."""

    def list(self, prefix: str) -> Iterator[DroppedObject]:
        """Every object below a prefix."""
        ...

    def tag(self, key: str) -> str:
        """What changes with an object's content: its checksum where S3 has one, or its ETag.

        Raises:
            ObjectNotFoundError: There is none.
        """
        ...

    def size(self, key: str) -> int:
        """Bytes of an object.

        Raises:
            ObjectNotFoundError: There is none.
        """
        ...

    def get(self, key: str) -> bytes:
        """Read an object.

        Raises:
            ObjectNotFoundError: There is none.
        """
        ...

    def open(self, key: str) -> IO[bytes]:
        """A stream of an object's bytes.

        Raises:
            ObjectNotFoundError: There is none.
        """
        ...

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Write an object."""
        ...

    def uri(self, key: str) -> str:
        """The object's `s3://` URI."""
        ...


class ReleaseStore(FileStore, Protocol):
    """The artifact bucket."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """Bytes of every object below a prefix, by key."""
        ...

"""What delivery needs from the world; adapters implement it, tests fake it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

__all__ = ["Cdn", "FreeSpace", "Progress", "SilentProgress"]

FreeSpace = Callable[[Path], int]
"""Bytes that can be written below a directory that exists."""


class Progress(Protocol):
    """Told how far a pull is; from several threads."""

    def begin(self, total: int, present: int) -> None:
        """So many bytes make the artifact, and so many of them are here already."""
        ...

    def advance(self, number: int) -> None:
        """So many bytes more are there; less than zero if some turned out to be wrong."""
        ...


class SilentProgress:
    """Implements `Progress` where nobody looks."""

    def begin(self, total: int, present: int) -> None:
        """Nothing is shown."""

    def advance(self, number: int) -> None:
        """Nothing is shown."""


class Cdn(Protocol):
    """Where published files are."""

    @property
    def origin(self) -> str:
        """Scheme, host and port, such as https://d111.cloudfront.net."""
        ...

    def read(self, path: str, limit_bytes: int) -> bytes:
        """A small file, whole; tried again where that may help.

        Raises:
            NotPublishedError: There is none.
            CdnError: It can't be had, or is longer than `limit_bytes`.
        """
        ...

    def open(
        self, path: str, start: int, end: int, size: int
    ) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes [start, end) of a file of `size` bytes, in one attempt.

        Fewer bytes than asked for may come, never more.

        Raises:
            NotPublishedError: There is no such file.
            TransientError: Worth another attempt; raised while reading too.
            RangesIgnoredError: The whole file was sent.
            TamperedError: The file is of another size.
        """
        ...

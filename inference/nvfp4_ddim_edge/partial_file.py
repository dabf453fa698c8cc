"""A file being received in pieces, out of order, over several runs of the program.

<name>          the bytes, each at its place
<name>.ranges   which of them are there, as JSON; written after the bytes are on the disk
"""

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from .ranges import ByteRange, Ranges

__all__ = ["PartialFile", "replace_text"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int = Field(ge=0)
    done: tuple[ByteRange, ...]


class PartialFile:
    """Open for writing; several threads may write at once."""

    def __init__(self, path: Path, size: int) -> None:
        """Go on where a former run stopped; from the start where its record can't be used."""
        self.path, self.size = path, size
        self._record = _record_path(path)
        self._lock = threading.Lock()
        self.done = _recorded(path, size)
        if not self.done.spans:
            path.unlink(missing_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        os.ftruncate(self._descriptor, size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def write(self, position: int, data: bytes) -> None:
        """Put bytes where they belong; `commit` makes them count."""
        with self._lock:
            os.lseek(self._descriptor, position, os.SEEK_SET)
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]

    def commit(self, start: int, end: int) -> None:
        """Note that [start, end) was written."""
        os.fsync(self._descriptor)
        with self._lock:
            self.done = self.done.with_range(start, end)
            record = _Record(size=self.size, done=self.done.spans)
            replace_text(self._record, record.model_dump_json())

    def forget(self) -> None:
        """Count nothing as written."""
        with self._lock:
            self.done = Ranges()
            self._record.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        """Move the complete file to its place, on the same disk."""
        os.fsync(self._descriptor)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(target)
        self._record.unlink(missing_ok=True)

    @staticmethod
    def recorded_bytes(path: Path, size: int) -> int:
        """How many bytes of a file a former run left."""
        return _recorded(path, size).total


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".ranges")


def _recorded(path: Path, size: int) -> Ranges:
    try:
        record = _Record.model_validate_json(_record_path(path).read_bytes())
        done = Ranges.of(record.done)
        held = path.stat().st_size
    except (OSError, ValueError):  # a ValidationError is a ValueError
        return Ranges()
    fits = record.size == size == held and all(end <= held for _, end in done.spans)
    return done if fits else Ranges()


def replace_text(path: Path, text: str) -> None:
    """Write a small file that is either the old or the new one, after a power cut too."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    if os.name == "posix":
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

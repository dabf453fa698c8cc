"""The files in a batch's folder: what rows may name, and what a `task.json` is done with."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from nvfp4_ddim_contracts.batches import MANIFEST_NAMES
from nvfp4_ddim_contracts.media_types import media_type_of
from nvfp4_ddim_contracts.tasks import InputSlot

__all__ = ["BatchFolder", "FolderFile"]

_OURS = ("results/", "rows/", "runs/")
_OUR_FILES = frozenset({*MANIFEST_NAMES, "errors.jsonl", "index.jsonl", "index.html"})
_SUMMARY = "summary.json"


@dataclass(frozen=True)
class FolderFile:
    """A file; `version` changes with its content."""

    path: str
    size: int
    version: str


class BatchFolder:
    """A batch's folder, listed once and only if a row asks."""

    def __init__(self, name: str, list_files: Callable[[], Iterable[FolderFile]]) -> None:
        """Take a folder.

        Args:
            name: The batch's name.
            list_files: Lists what lies in it, by paths relative to it.
        """
        self._name = name
        self._list_files = list_files

    @cached_property
    def files(self) -> dict[str, FolderFile]:
        """What people put there, by path."""
        return {
            file.path: file
            for file in self._list_files()
            if not file.path.startswith(_OURS)
            and file.path not in _OUR_FILES
            and file.path != _SUMMARY
            and not file.path.endswith("/")
        }

    def fitting(self, slot: InputSlot) -> Iterator[FolderFile]:
        """Files whose names say that an input takes them, in the order of their paths."""
        for path, file in sorted(self.files.items()):
            if media_type_of(path, slot.media_types) is not None:
                yield file

    def upload_id(self, file: FolderFile) -> str:
        """The id under which a file becomes an upload of the batch's jobs."""
        text = f"{self._name}\n{file.path}\n{file.version}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

"""Where an artifact is put together before it takes its place.

.<target>.pull/partial   files being received, by their SHA-256; kept for the next attempt
.<target>.pull/tree      the artifact being put together
.<target>.pull/old       what it replaces, for the instant between two renames
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_optimizer.artifacts.atomic import fsync_tree

from .errors import DestinationError

__all__ = ["Staging", "link_or_copy", "staging_for"]


@dataclass(frozen=True)
class Staging:
    """The working directory of one destination."""

    target: Path
    root: Path

    @property
    def partial(self) -> Path:
        """Files being received."""
        return self.root / "partial"

    @property
    def tree(self) -> Path:
        """The artifact being put together."""
        return self.root / "tree"

    @property
    def old(self) -> Path:
        """What is being replaced."""
        return self.root / "old"

    def publish(self) -> None:
        """Let the finished tree take the target's place, and tidy up."""
        fsync_tree(self.tree)
        # No portable call swaps two directories; `recover` mends what a power cut leaves between.
        if self.target.exists():
            self.target.rename(self.old)
        self.tree.rename(self.target)
        if os.name == "posix":
            _fsync_directory(self.target.parent)
        shutil.rmtree(self.root, ignore_errors=True)

    def recover(self) -> None:
        """Undo a replacement that was cut short, and drop the tree of a former attempt."""
        if self.old.exists():
            if self.target.exists():
                shutil.rmtree(self.old)
            else:
                self.old.rename(self.target)
        shutil.rmtree(self.tree, ignore_errors=True)


@contextmanager
def staging_for(target: Path) -> Iterator[Staging]:
    """The staging of a destination, for this process alone.

    Raises:
        DestinationError: The target is something else than an artifact, or another process pulls
            into it.
    """
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Staging(target, target.parent / f".{target.name}.pull")
    lock = FileLock(target.parent / f".{target.name}.pull.lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise DestinationError(
            f"Another process is pulling into {target}. Wait until it ends, or choose another "
            "--output"
        ) from None
    try:
        staging.recover()
        _require_artifact(target)
        staging.partial.mkdir(parents=True, exist_ok=True)
        yield staging
    finally:
        lock.release()


def link_or_copy(source: Path, target: Path) -> None:
    """Let a file appear at a second place, without a copy where the disk can do that."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _require_artifact(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir() or (any(target.iterdir()) and not (target / MANIFEST_NAME).is_file()):
        raise DestinationError(
            f"{target} exists and is no artifact; it will not be overwritten. Choose another "
            "--output"
        )


def _fsync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Directories that appear complete or not at all."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["check_target", "fsync_tree", "new_directory"]


@contextmanager
def new_directory(
    target: Path, *, may_replace: Callable[[Path], bool], overwrite: bool
) -> Iterator[Path]:
    """Fill a temporary directory beside `target`; it takes that name when the block succeeds.

    Args:
        target: The directory to make. Its parents are made too.
        may_replace: Whether an existing directory is of a kind that may be overwritten.
        overwrite: Whether an existing directory is replaced; only once the new one is complete.

    Yields:
        The temporary directory. It is removed when the block raises.

    Raises:
        InvalidInputError: The target exists and `overwrite` is false, or it may not be replaced.
    """
    target = target.absolute()
    check_target(target, may_replace=may_replace, overwrite=overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{secrets.token_hex(4)}.partial"
    temporary.mkdir()
    try:
        yield temporary
        fsync_tree(temporary)
        _publish(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def check_target(target: Path, *, may_replace: Callable[[Path], bool], overwrite: bool) -> None:
    """What `new_directory` checks before it begins.

    Raises:
        InvalidInputError: The target exists and `overwrite` is false, or it may not be replaced.
    """
    if not target.exists():
        return
    if not overwrite:
        raise InvalidInputError(f"{target} exists; pass overwrite=True to replace it")
    if not may_replace(target):
        raise InvalidInputError(f"{target} exists and is no artifact; it will not be overwritten")


def fsync_tree(directory: Path) -> None:
    """Wait until every file below a directory, and its names, are on the disk."""
    for path in sorted(directory.rglob("*")):
        _fsync(path)
    _fsync(directory)


def _publish(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        _fsync(target.parent)
        return
    # No portable call swaps two directories: the old one steps aside for an instant, and comes
    # back if the new one can't take its place.
    old = target.parent / f".{target.name}.{secrets.token_hex(4)}.old"
    target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        old.rename(target)
        raise
    _fsync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _fsync(path: Path) -> None:
    if path.is_dir() and os.name != "posix":
        return  # only POSIX lets a directory be opened and flushed
    # Windows flushes only what is open for writing.
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

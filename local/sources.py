"""A fingerprint of everything that synthesis reads, so that unchanged output is reused."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["source_fingerprint"]

_SOURCES = (
    "app.py",
    "cdk.json",
    "infra",
    "inference",
    "lambdas",
    "package-lock.json",
    "requirements.txt",
    "constraints.txt",
    "web",
)
_IGNORED_PARTS = {"__pycache__", "build", "dist"}
_IGNORED_SUFFIXES = (".egg-info",)


def source_fingerprint(project: Path, *extra: str) -> str:
    """SHA-256 of names and contents of the sources, the interpreter, and `extra`."""
    digest = hashlib.sha256()
    for part in (sys.version, *extra):
        digest.update(part.encode() + b"\0")
    for path in _files(project):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(project).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _files(project: Path) -> Iterator[Path]:
    for name in _SOURCES:
        root = project / name
        candidates = [root] if root.is_file() else sorted(root.rglob("*"))
        for path in candidates:
            parts = path.relative_to(project).parts
            ignored = any(
                part in _IGNORED_PARTS or part.endswith(_IGNORED_SUFFIXES) for part in parts
            )
            if path.is_file() and not ignored:
                yield path

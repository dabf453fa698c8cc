"""The releases on a device, and the link to the one in use.

<root>/releases/<sha256>   artifacts, each under the SHA-256 of its manifest
<root>/current             symbolic link to one of them, replaced in one step
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from .staging import Staging

__all__ = ["Releases"]

_LINK = "current"
_STAGING_SUFFIX = ".pull"


@dataclass(frozen=True)
class Releases:
    """Below one directory."""

    root: Path

    @property
    def link(self) -> Path:
        """What programs load: the release in use."""
        return self.root / _LINK

    def path(self, sha256: str) -> Path:
        """Where a release lies, or will."""
        return self.root / "releases" / sha256

    def current(self) -> str | None:
        """The release in use, or None before the first."""
        try:
            return self.link.readlink().name
        except FileNotFoundError:
            return None

    def installed(self) -> tuple[Path, ...]:
        """All releases that are complete."""
        home = self.root / "releases"
        if not home.is_dir():
            return ()
        return tuple(sorted(each for each in home.iterdir() if not each.name.startswith(".")))

    def switch(self, sha256: str | None) -> None:
        """Use another release from now on; None uses none. A power cut leaves the old or the new.

        The link is relative, so that the whole directory may be moved.
        """
        if sha256 is None:
            self.link.unlink(missing_ok=True)
        else:
            new = self.root / f".{_LINK}.new"
            new.unlink(missing_ok=True)
            new.symlink_to(Path("releases") / sha256, target_is_directory=True)
            new.replace(self.link)
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def recover(self) -> None:
        """Undo replacements that a power cut left half done."""
        home = self.root / "releases"
        home.mkdir(parents=True, exist_ok=True)
        for root in home.glob(f".*{_STAGING_SUFFIX}"):
            name = root.name.removeprefix(".").removesuffix(_STAGING_SUFFIX)
            Staging(home / name, root).recover()

    def prune(self, keep: set[str]) -> None:
        """Delete all releases but some; the one in use stays in any case.

        What was begun of others goes too.
        """
        keep = keep | {self.current() or ""}
        home = self.root / "releases"
        for path in home.iterdir():
            name = path.name.removeprefix(".").split(".")[0]
            if name not in keep:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

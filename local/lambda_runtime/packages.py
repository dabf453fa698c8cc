"""Deployment packages on disk, and the packages that AWS's Python runtime brings itself."""

import hashlib
import importlib.util
import io
import shutil
import threading
import zipfile
from pathlib import Path

from local.errors import FunctionNotRunnableError

__all__ = ["PackageStore"]

# What AWS's Python runtime carries beside the standard library: boto3 and what it needs.
_RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")


class PackageStore:
    """Extracted zips by their SHA-256: functions that share an asset share a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()

    def extract(self, package: bytes) -> Path:
        """Extract a deployment package once.

        Raises:
            FunctionNotRunnableError: It is not a zip.
        """
        target = self._directory / "packages" / hashlib.sha256(package).hexdigest()
        with self._lock:
            if not target.exists():
                partial = target.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)
                try:
                    with zipfile.ZipFile(io.BytesIO(package)) as archive:
                        _extract(archive, partial)
                except zipfile.BadZipFile as error:
                    raise FunctionNotRunnableError(f"The package is no zip: {error}") from error
                partial.rename(target)
        return target

    def runtime_layer(self) -> Path:
        """A directory with links to this environment's boto3 and its dependencies only.

        Workers run without site-packages; so a dependency missing in the package is missing
        here too, as it would be on AWS.
        """
        layer = self._directory / "runtime-layer"
        layer.mkdir(parents=True, exist_ok=True)
        with self._lock:
            for name in _RUNTIME_PACKAGES:
                source = _location(name)
                link = layer / source.name
                if link.is_symlink() and link.readlink() != source:
                    link.unlink()
                if not link.exists():
                    link.symlink_to(source)
        return layer


def _extract(archive: zipfile.ZipFile, directory: Path) -> None:
    """Extract with the files' modes, as Lambda does: a wrapper script has to be executable."""
    archive.extractall(directory)
    for member in archive.infolist():
        mode = member.external_attr >> 16 & 0o777
        if mode and not member.is_dir():
            (directory / member.filename).chmod(mode | 0o600)


def _location(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FunctionNotRunnableError(
            f"{package} is not installed; `pip install -r requirements.txt` brings it."
        )
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin

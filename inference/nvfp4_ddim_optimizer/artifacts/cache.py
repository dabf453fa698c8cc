"""Decompressed weights kept on the disk, so that later loads can map them.

    <cache>/<artifact's SHA-256>/<component>.safetensors   a plain file
    <cache>/<artifact's SHA-256>/<component>.sha256        its checksum

Everything can be made again: the directory may be deleted whenever nothing runs.
"""

import hashlib
import logging
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

from nvfp4_ddim_contracts import WeightStorage

from .container import StoredTensor, header_bytes
from .reader import WeightsFile
from .verify import file_sha256
from .writer import in_file_order

__all__ = ["WeightsCache", "default_cache_directory"]

_LOGGER = logging.getLogger(__name__)
_VENDOR = "nvfp4-ddim"


def default_cache_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Where a user's cache lies.

    Args:
        environ: Environment variables; the process's own when None.

    Returns:
        `nvfp4-ddim/artifacts` in `XDG_CACHE_HOME`, or in `~/.cache` where that is not set.

    Source: XDG Base Directory Specification 0.8.
    """
    given = (os.environ if environ is None else environ).get("XDG_CACHE_HOME", "")
    # The specification: a path that is not absolute is to be ignored.
    base = Path(given) if Path(given).is_absolute() else Path.home() / ".cache"
    return base / _VENDOR / "artifacts"


@dataclass(frozen=True)
class WeightsCache:
    """Where one component's decompressed weights lie.

    Attributes:
        path: The plain file.
        verify: Compare the checksum of a file that is there already, and make it again if it
            differs. Its size and header are compared in any case.
    """

    path: Path
    verify: bool = True

    @classmethod
    def of_component(
        cls, directory: Path, artifact_sha256: str, component: str, *, verify: bool
    ) -> Self:
        """The place of an artifact's component in a cache directory."""
        return cls(directory / artifact_sha256 / f"{component}.safetensors", verify)

    def plain_copy(self, source: WeightsFile, threads: int) -> Path | None:
        """Decompress a file, unless that was done before.

        Safe for several processes: one decompresses, the others wait for it. A file appears
        complete or not at all, and is on the disk before it takes its name.

        Args:
            source: The weights. What they declare must have been found right before.
            threads: How many tensors to decompress at once.

        Returns:
            The plain file; None if the source is plain itself, or the cache can't be written, of
            which a warning tells.

        Raises:
            ArtifactCorruptError: A compressed tensor is damaged.
        """
        if source.storage is WeightStorage.PLAIN:
            return None
        tensors = in_file_order(source.tensors.values())
        header = header_bytes(tensors, {**source.metadata, "format": "pt"})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_suffix(".lock")):
                if not self._is_whole(header, tensors):
                    self._fill(source, header, tensors, threads)
        except OSError as error:
            _LOGGER.warning("weights are decompressed to memory, not to a cache: %s", error)
            return None
        return self.path

    def _is_whole(self, header: bytes, tensors: list[StoredTensor]) -> bool:
        checksum = self.path.with_suffix(".sha256")
        if not self.path.is_file() or not checksum.is_file():
            return False
        if self.path.stat().st_size != len(header) + sum(tensor.bytes for tensor in tensors):
            return False
        with self.path.open("rb") as file:
            if file.read(len(header)) != header:
                return False
        return not self.verify or file_sha256(self.path) == checksum.read_text("ascii")

    def _fill(
        self, source: WeightsFile, header: bytes, tensors: list[StoredTensor], threads: int
    ) -> None:
        for left_over in self.path.parent.glob(f".{self.path.name}.*.partial"):
            left_over.unlink()  # by a process that was ended: whoever writes holds the lock
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.partial")
        digest = hashlib.sha256(header)
        try:
            with temporary.open("xb") as file:
                file.write(header)
                for _, tensor in source.read_all([tensor.name for tensor in tensors], threads):
                    data: NDArray[np.uint8] = tensor.reshape(-1).view(torch.uint8).numpy()
                    digest.update(data.data)
                    file.write(data.data)
                file.flush()
                os.fsync(file.fileno())
            self.path.with_suffix(".sha256").write_text(digest.hexdigest(), "ascii")
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)

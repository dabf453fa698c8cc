"""Reading a component's weights, plain or compressed, tensor by tensor."""

import json
import mmap
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nvfp4_ddim_contracts import WeightStorage
from nvfp4_ddim_optimizer.errors import (
    ArtifactCorruptError,
    ArtifactFormatError,
    ArtifactVersionError,
)

from .container import TORCH_DTYPES, Container, StoredTensor, read_header
from .frames import FrameError, check_frame, decode_frame
from .layout import DENSE_KEY, DENSE_VERSION

__all__ = ["WeightsFile"]

_SMALL_FRAME_BYTES = 64 * 1024  # decompressed sooner than handed to another thread
_AHEAD = 4  # tensors a thread


class _Table(BaseModel):
    """What a compressed file's metadata says of its compressed tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: int = Field(ge=1)
    tensors: dict[str, tuple[str, tuple[NonNegativeInt, ...]]]


class WeightsFile:
    """A component's weights; use it as a context manager.

    Attributes:
        path: The file.
        storage: Whether it has compressed tensors, by its own word.
        tensors: What each tensor is once it is read. Only sizes are declared here: compare them
            with what is expected before reading any.
        metadata: Its free entries, the table of compressed tensors apart.
    """

    path: Path
    storage: WeightStorage
    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            ArtifactCorruptError: The file is no safetensors file, or truncated.
            ArtifactVersionError: Its compression is of a newer version.
            ArtifactFormatError: Its table contradicts its tensors.
        """
        self.path = path
        container = read_header(path)
        self.metadata = {k: v for k, v in container.metadata.items() if k != DENSE_KEY}
        self.storage = (
            WeightStorage.DENSE if DENSE_KEY in container.metadata else WeightStorage.PLAIN
        )
        self._frames = _compressed_tensors(path, container)
        self.tensors = container.tensors | self._frames
        self._stored = container.tensors
        self._mapped: Any = safe_open(path, framework="pt", device="cpu")
        with path.open("rb") as file:
            self._frame_bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def read(self, name: str) -> Tensor:
        """Read a tensor: mapped from the file where it is stored as it is, else decompressed.

        Raises:
            ArtifactCorruptError: It is damaged.
        """
        if name not in self._frames:
            try:
                mapped: Tensor = self._mapped.get_tensor(name)
            except SafetensorError as error:
                raise ArtifactCorruptError(f"{self.path} can't be read: {error}") from error
            return mapped
        original, stored = self._frames[name], self._stored[name]
        frame = memoryview(self._frame_bytes)[stored.start : stored.start + stored.bytes]
        try:
            check_frame(frame, original.bytes)
            data = torch.empty(original.bytes, dtype=torch.uint8)
            decode_frame(frame, data.numpy(), TORCH_DTYPES[original.dtype].itemsize)
        except FrameError as error:
            raise ArtifactCorruptError(
                f"{self.path}: {name} can't be decompressed: {error}. Fetch the artifact again"
            ) from error
        self._let_go(stored)
        return data.view(TORCH_DTYPES[original.dtype]).reshape(original.shape)

    def read_all(self, names: Iterable[str], threads: int) -> Iterator[tuple[str, Tensor]]:
        """Read tensors, several at a time, with a few of them in memory ahead of the caller.

        Args:
            names: Which.
            threads: How many to decompress at once.

        Yields:
            Names and tensors, in the order of `names`.

        Raises:
            ArtifactCorruptError: As `read`.
        """
        ahead: deque[tuple[str, Future[Tensor] | None]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            try:
                for name in names:
                    inline = threads == 1 or self._is_small(name)
                    ahead.append((name, None if inline else pool.submit(self.read, name)))
                    if len(ahead) > _AHEAD * threads or threads == 1:
                        yield self._taken(*ahead.popleft())
                while ahead:
                    yield self._taken(*ahead.popleft())
            finally:
                for _, future in ahead:
                    if future is not None:
                        future.cancel()

    def __enter__(self) -> Self:
        self._mapped.__enter__()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._mapped.__exit__(error_type, error, traceback)

    def _let_go(self, stored: StoredTensor) -> None:
        """Unmap a frame's pages: decompressed, they would go on counting as this process's."""
        first = -(-stored.start // mmap.PAGESIZE) * mmap.PAGESIZE
        size = (stored.start + stored.bytes - first) // mmap.PAGESIZE * mmap.PAGESIZE
        if size > 0 and hasattr(mmap, "MADV_DONTNEED"):  # Windows has no such advice
            self._frame_bytes.madvise(mmap.MADV_DONTNEED, first, size)

    def _taken(self, name: str, future: Future[Tensor] | None) -> tuple[str, Tensor]:
        return name, self.read(name) if future is None else future.result()

    def _is_small(self, name: str) -> bool:
        return name not in self._frames or self._stored[name].bytes < _SMALL_FRAME_BYTES


def _compressed_tensors(path: Path, container: Container) -> dict[str, StoredTensor]:
    """What a file's compressed tensors are, by its table."""
    if DENSE_KEY not in container.metadata:
        return {}
    try:
        content = json.loads(container.metadata[DENSE_KEY])
        version = content.get("version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > DENSE_VERSION:
            raise ArtifactVersionError(
                f"{path} is compressed in version {version}, this library reads {DENSE_VERSION}: "
                "upgrade nvfp4-ddim-optimizer"
            )
        table = _Table.model_validate_json(container.metadata[DENSE_KEY])
    except (RecursionError, ValidationError, ValueError) as error:
        raise ArtifactFormatError(f"{path} has no usable table of tensors: {error}") from error
    for name, (dtype, _) in table.tensors.items():
        stored = container.tensors.get(name)
        if stored is None or stored.dtype != "U8" or len(stored.shape) != 1:
            raise ArtifactFormatError(f"{path}: {name} is in the table, but not compressed")
        if dtype not in TORCH_DTYPES:
            raise ArtifactFormatError(f"{path}: {name} is of a type in no use here: {dtype!r}")
    return {
        name: StoredTensor(name, dtype, shape) for name, (dtype, shape) in table.tensors.items()
    }

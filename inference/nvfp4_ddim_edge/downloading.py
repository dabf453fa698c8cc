"""Receiving files from the CDN: several ranges at once, each tried again where it broke off."""

import errno
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial as partial_call
from pathlib import Path

from nvfp4_ddim_contracts import ArtifactFile
from nvfp4_ddim_optimizer.artifacts.verify import file_sha256

from .errors import DiskFullError, RangesIgnoredError, TamperedError
from .partial_file import PartialFile
from .ports import Cdn, Progress
from .retrying import RetryPolicy, TransientError

__all__ = ["Download", "Downloader", "disk_errors"]

Count = Callable[[int], None]
CHUNK_BYTES = 8 * 1024 * 1024
"""Length of a range; what a killed program has to fetch again at most, per connection."""


@dataclass(frozen=True)
class Download:
    """One file: where it is published, where it goes, and what it has to be."""

    url_path: str
    entry: ArtifactFile
    partial: Path
    target: Path


@dataclass
class Downloader:
    """Receives files.

    Attributes:
        cdn: Where from.
        retry: After failures.
        parallel: Ranges at once, 1 or more.
        chunk_bytes: Length of a range.
    """

    cdn: Cdn
    retry: RetryPolicy
    parallel: int = 4
    chunk_bytes: int = CHUNK_BYTES
    _stopped: threading.Event = field(default_factory=threading.Event)

    def fetch(self, downloads: list[Download], progress: Progress) -> int:
        """Receive and check files; what is there of them already is kept.

        Args:
            downloads: The files.
            progress: Told of every piece as it arrives.

        Returns:
            Bytes received.

        Raises:
            EdgeError: A file could not be had; the others' bytes stay for the next attempt.
        """
        self._stopped.clear()
        received = 0
        lock = threading.Lock()

        def count(number: int) -> None:
            nonlocal received
            with lock:
                received += max(0, number)
            progress.advance(number)

        with ThreadPoolExecutor(self.parallel) as pool:
            for download in downloads:
                self._fetch_one(pool, download, count)
        return received

    def pause(self, failures: int, error: TransientError) -> None:
        """Wait after so many failures in a row, unless another range failed for good."""
        self._stopped.wait(self.retry.delay(failures, error))
        self.check_stopped()

    def check_stopped(self) -> None:
        """Raise where another range failed for good: this one need not go on."""
        if self._stopped.is_set():
            raise CancelledError

    def _fetch_one(self, pool: ThreadPoolExecutor, download: Download, count: Count) -> None:
        with disk_errors(download.partial), ExitStack() as stack:
            partial = stack.enter_context(PartialFile(download.partial, download.entry.bytes))
            was_resumed = bool(partial.done.spans)
            self._receive(pool, download, partial, count)
            if file_sha256(partial.path) != download.entry.sha256 and was_resumed:
                # The power may have failed between the bytes and the disk: once more, all of it.
                count(-partial.done.total)
                partial.forget()
                self._receive(pool, download, partial, count)
            if file_sha256(partial.path) != download.entry.sha256:
                count(-partial.done.total)
                partial.forget()
                raise TamperedError(
                    f"{download.entry.path} was altered on its way: its SHA-256 is not the "
                    "manifest's. Nothing was replaced. Try again later or over another network, "
                    "and tell the publisher if it stays so"
                )
            partial.finish(download.target)

    def _receive(
        self,
        pool: ThreadPoolExecutor,
        download: Download,
        partial: PartialFile,
        count: Count,
    ) -> None:
        transfer = _Transfer(self, download.url_path, partial, count)
        try:
            self._all(pool, [
                partial_call(transfer.resume, start, end)
                for start, end in partial.done.missing(partial.size, self.chunk_bytes)
            ])  # fmt: skip
        except RangesIgnoredError:
            count(-partial.done.total)
            partial.forget()
            self._all(pool, [transfer.restart])

    def _all(self, pool: ThreadPoolExecutor, tasks: list[Callable[[], None]]) -> None:
        """Run all; the first failure ends the others at their next bytes."""
        futures = [pool.submit(task) for task in tasks]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            self._stopped.set()
            for future in futures:
                future.cancel()
            wait(futures)
            self._stopped.clear()
            raise


@dataclass(frozen=True)
class _Transfer:
    """The ways to receive pieces of one file."""

    owner: Downloader
    url_path: str
    partial: PartialFile
    count: Count

    def resume(self, start: int, end: int) -> None:
        """Receive [start, end); after a failure, go on where it broke off."""
        position, failures = start, 0
        while position < end:
            before = position
            try:
                for chunk in self._chunks(position, end):
                    position += len(chunk)
                if position < end:
                    raise TransientError(f"{self.url_path} ended early")
            except TransientError as error:
                failures = 1 if position > before else failures + 1
                self.owner.pause(failures, error)
        self.partial.commit(start, end)

    def restart(self) -> None:
        """Receive the whole file from a server that knows no ranges: each attempt anew."""
        failures = 0
        while True:
            received = 0
            try:
                for chunk in self._chunks(0, self.partial.size):
                    received += len(chunk)
                if received == self.partial.size:
                    break
                raise TransientError(f"{self.url_path} ended early")
            except TransientError as error:
                failures += 1
                self.count(-received)
                self.owner.pause(failures, error)
        self.partial.commit(0, self.partial.size)

    def _chunks(self, start: int, end: int) -> Iterator[bytes]:
        with self.owner.cdn.open(self.url_path, start, end, self.partial.size) as chunks:
            for chunk in chunks:
                self.owner.check_stopped()
                self.partial.write(start, chunk)
                start += len(chunk)
                self.count(len(chunk))
                yield chunk


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of a full disk into one that says so."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError(
                f"The disk of {path.parent} is full. Free some space and run the same command "
                "again: what is there already is kept, and nothing was replaced"
            ) from error
        raise

"""A zip in S3, read member by member with ranged requests: memory does not grow with its size."""

import io
from dataclasses import dataclass
from functools import cached_property
from typing import IO, TYPE_CHECKING
from zipfile import ZipFile

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3 import S3Client

__all__ = ["S3ZipArchive"]

_BUFFER_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class S3ZipArchive:
    """Implements `Archive`. The object's version is pinned by its ETag."""

    client: "S3Client"
    bucket: str
    key: str

    def names(self) -> tuple[str, ...]:
        """Names of the files in it, directories left out."""
        return tuple(info.filename for info in self._zip.infolist() if not info.is_dir())

    def size(self, name: str) -> int:
        """Bytes of one file, uncompressed."""
        return self._zip.getinfo(name).file_size

    def open(self, name: str) -> IO[bytes]:
        """A stream of one file's bytes."""
        return self._zip.open(name)

    @cached_property
    def _zip(self) -> ZipFile:
        reader = _RangedObject(self.client, self.bucket, self.key)
        return ZipFile(io.BufferedReader(reader, _BUFFER_BYTES))


class _RangedObject(io.RawIOBase):
    def __init__(self, client: "S3Client", bucket: str, key: str) -> None:
        super().__init__()
        head = client.head_object(Bucket=bucket, Key=key)
        self._client = client
        self._where = {"Bucket": bucket, "Key": key, "IfMatch": head["ETag"]}
        self._size = head["ContentLength"]
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        end = min(self._position + len(view), self._size)
        if end <= self._position:
            return 0
        answer = self._client.get_object(
            Bucket=self._where["Bucket"],
            Key=self._where["Key"],
            IfMatch=self._where["IfMatch"],
            Range=f"bytes={self._position}-{end - 1}",
        )
        data = answer["Body"].read()
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

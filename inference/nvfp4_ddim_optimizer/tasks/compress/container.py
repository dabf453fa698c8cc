"""The file of a compressed picture.

    magic "NDPC" | version u8 | mode u8 | model id 4 bytes | width, height varint |
    settings: varints, as many as the mode has | lengths of the segments: varints |
    checksum of the symbols u16 | CRC-32 of all other bytes u32 | segments

Varints are LEB128; other numbers are little-endian.
"""

import binascii
import zlib
from dataclasses import dataclass
from enum import IntEnum

from nvfp4_ddim_optimizer.errors import BitstreamError

__all__ = [
    "MAGIC",
    "MAX_PIXELS",
    "MAX_SIDE",
    "VERSION",
    "Mode",
    "PictureFile",
    "pack",
    "symbol_checksum",
    "unpack",
    "unpack_partial",
]

MAGIC = b"NDPC"
VERSION = 1
MAX_SIDE = 16384
MAX_PIXELS = 32 * 1024 * 1024
_CHECKSUMS_BYTES = 6
_MAX_VARINT_BYTES = 5
_MODEL_ID_BYTES = 4


class Mode(IntEnum):
    """How the picture is coded."""

    LATENT = 0
    """settings: step index, flags (1: shown refined), seed of the refinement."""

    PAGE = 1
    """settings: number of colours, eighths of the resolution."""


_SETTINGS = {Mode.LATENT: 3, Mode.PAGE: 2}
_SEGMENTS = {Mode.LATENT: 2, Mode.PAGE: 1}


@dataclass(frozen=True)
class PictureFile:
    """What a file holds.

    Attributes:
        mode: How the picture is coded.
        model_id: First bytes of the SHA-256 of the tables that it was coded with; zeros for a
            page, which needs none.
        width: Pixels.
        height: Pixels.
        settings: See `Mode`.
        segments: Coded bytes; None for one that has not arrived yet.
        checksum: Of the symbols.
    """

    mode: Mode
    model_id: bytes
    width: int
    height: int
    settings: tuple[int, ...]
    segments: tuple[bytes | None, ...]
    checksum: int


def symbol_checksum(symbols: bytes) -> int:
    """CRC-16 (CCITT) of decoded symbols."""
    return binascii.crc_hqx(symbols, 0xFFFF)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def pack(file: PictureFile) -> bytes:
    """The file's bytes."""
    segments = [segment for segment in file.segments if segment is not None]
    head = MAGIC + bytes([VERSION, file.mode]) + file.model_id
    numbers = (file.width, file.height, *file.settings, *map(len, segments))
    head += b"".join(map(_varint, numbers)) + file.checksum.to_bytes(2, "little")
    payload = b"".join(segments)
    return head + zlib.crc32(payload, zlib.crc32(head)).to_bytes(4, "little") + payload


class _Cursor:
    def __init__(self, blob: bytes) -> None:
        self.blob, self.position = blob, 0

    def take(self, count: int) -> bytes:
        part = self.blob[self.position : self.position + count]
        if len(part) < count:
            raise BitstreamError("the compressed picture ends within its header: it is truncated")
        self.position += count
        return part

    def varint(self) -> int:
        value = 0
        for index in range(_MAX_VARINT_BYTES):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value
        raise BitstreamError("the compressed picture's header is damaged: a number is too long")


def _begin(blob: bytes) -> tuple[_Cursor, Mode]:
    if blob[: len(MAGIC)] != MAGIC[: len(blob)] or not blob:
        raise BitstreamError(
            "this is no compressed picture of this library: such a file begins with 'NDPC'"
        )
    cursor = _Cursor(blob)
    cursor.take(len(MAGIC))
    version, mode = cursor.take(2)
    if version != VERSION:
        raise BitstreamError(
            f"the compressed picture is of format version {version}; this library reads {VERSION}"
        )
    if mode not in _SETTINGS:
        raise BitstreamError(f"the compressed picture is of mode {mode}, which is unknown here")
    return cursor, Mode(mode)


def _parse(blob: bytes) -> tuple[PictureFile, int, int]:
    """The file as far as it has arrived, where its checksums begin, and its whole length."""
    cursor, mode = _begin(blob)
    model_id = cursor.take(_MODEL_ID_BYTES)
    width, height = cursor.varint(), cursor.varint()
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise BitstreamError(f"a picture of {width}x{height} pixels is not allowed")
    settings = tuple(cursor.varint() for _ in range(_SETTINGS[mode]))
    lengths = [cursor.varint() for _ in range(_SEGMENTS[mode])]
    checksums_at = cursor.position
    checksum = int.from_bytes(cursor.take(_CHECKSUMS_BYTES)[:2], "little")
    segments: list[bytes | None] = []
    start = cursor.position
    for length in lengths:
        arrived = blob[start : start + length]
        segments.append(arrived if len(arrived) == length else None)
        start += length
    file = PictureFile(mode, model_id, width, height, settings, tuple(segments), checksum)
    return file, checksums_at, start


def unpack(blob: bytes) -> PictureFile:
    """Read a whole file.

    Raises:
        BitstreamError: It is another kind of file, of another version, truncated or damaged.
    """
    file, checksums_at, length = _parse(blob)
    if len(blob) != length:
        problem = "truncated" if len(blob) < length else "followed by something else"
        raise BitstreamError(
            f"the compressed picture has {len(blob)} of {length} bytes: it is {problem}"
        )
    start = checksums_at + _CHECKSUMS_BYTES
    found = zlib.crc32(blob[start:], zlib.crc32(blob[: checksums_at + 2]))
    if found != int.from_bytes(blob[checksums_at + 2 : start], "little"):
        raise BitstreamError("the compressed picture is damaged: its checksum does not match")
    return file


def unpack_partial(blob: bytes) -> PictureFile | None:
    """Read a file that is still arriving.

    Returns:
        The file, without the segments that are not complete; None while not even its header is.
        What a part holds can't be checked: the checksum is over the whole.

    Raises:
        BitstreamError: It is another kind of file or of another version.
    """
    try:
        return _parse(blob)[0]
    except BitstreamError:
        if blob[: len(MAGIC)] == MAGIC[: len(blob)] and len(blob) < _SMALLEST_DAMAGED:
            return None
        raise


_SMALLEST_DAMAGED = len(MAGIC) + 2 + _MODEL_ID_BYTES + 7 * _MAX_VARINT_BYTES + _CHECKSUMS_BYTES

"""One tensor's bytes as one zstd frame.

Codes and scales that were chosen for few bits hold no repetitions, only symbols of uneven
frequency: zstd's Huffman coder does all the work, and looking for repetitions costs bytes and time
(`benchmarks/dense.py` measures the alternatives). Hence the parameters in `_LITERALS`. Where a
tensor does repeat itself (rows of zeros), level 3 finds it: both are tried, the smaller is kept.

Items of several bytes are split into planes, first bytes first, then second bytes and so on:
exponents are alike and compress, mantissas are not and are stored.

Source: RFC 8878, section 3.1.1 for the frame's layout.
"""

import numpy as np
import zstandard
from numpy.typing import NDArray

__all__ = ["FrameError", "check_frame", "decode_frame", "encode_frame"]

Bytes = NDArray[np.uint8]

_STRATEGY_FAST = 1
_LITERALS = {
    "strategy": _STRATEGY_FAST,
    "min_match": 7,
    "hash_log": 6,
    "chain_log": 6,
    "search_log": 1,
    "target_length": 0,
    "window_log": 19,
}
_MATCHES_LEVEL = 3
# What RFC 8878 asks every decoder to support, and more than any frame written here uses.
_MAX_WINDOW_BYTES = 8 * 2**20
_PLANE_CHUNK_BYTES = 256 * 1024
_BLOCK_HEADER_BYTES = 3
_MAX_BLOCK_BYTES = 128 * 1024
_RLE_BLOCK, _RESERVED_BLOCK = 1, 3
_CHECKSUM_BYTES = 4


class FrameError(Exception):
    """A frame is damaged, or not what it was declared to be."""


def encode_frame(data: Bytes, item_bytes: int) -> bytes:
    """Compress a tensor.

    Args:
        data: Its bytes, [n] uint8, contiguous.
        item_bytes: Size of one of its items; n is a multiple of it.

    Returns:
        A frame that declares its content's size and ends in a checksum. It depends on the
        arguments and the version of zstd only.
    """
    planes = data if item_bytes == 1 else np.ascontiguousarray(data.reshape(-1, item_bytes).T)
    literals = zstandard.ZstdCompressionParameters(
        **_LITERALS, write_checksum=True, write_content_size=True
    )
    matches = zstandard.ZstdCompressionParameters.from_level(
        _MATCHES_LEVEL, source_size=data.size, write_checksum=True, write_content_size=True
    )
    return min(
        (
            zstandard.ZstdCompressor(compression_params=parameters).compress(planes.data)
            for parameters in (literals, matches)
        ),
        key=len,
    )


def decode_frame(frame: bytes | bytearray | memoryview, out: Bytes, item_bytes: int) -> None:
    """Decompress a tensor straight into its memory.

    Args:
        frame: As `encode_frame` returns it.
        out: [n] uint8, contiguous, filled with the tensor's bytes. It is not touched unless the
            frame declares exactly n bytes of content.
        item_bytes: Size of one of the tensor's items.

    Raises:
        FrameError: The frame is truncated, altered, followed by other bytes, or of other content
            than `out` has room for.
    """
    try:
        check_frame(frame, out.size)
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        reader = decompressor.stream_reader(frame, read_across_frames=False)
        if item_bytes == 1:
            # With the whole frame and all of the room at hand, zstd writes to `out` directly.
            _read_exactly(reader, out)
        elif out.size <= _PLANE_CHUNK_BYTES:
            planes = np.empty((item_bytes, out.size // item_bytes), np.uint8)
            _read_exactly(reader, planes.reshape(-1))
            out.reshape(-1, item_bytes)[:] = planes.T
        else:
            _read_planes(reader, out.reshape(-1, item_bytes))
    except zstandard.ZstdError as error:
        raise FrameError(str(error)) from error


def _read_planes(reader: zstandard.ZstdDecompressionReader, items: Bytes) -> None:
    """Fill items, [n, bytes of one], a part of a plane at a time."""
    chunk = np.empty(_PLANE_CHUNK_BYTES, np.uint8)
    for plane in range(items.shape[1]):
        for start in range(0, len(items), len(chunk)):
            part = chunk[: len(items) - start]
            _read_exactly(reader, part)
            items[start : start + len(part), plane] = part
    # Zstd compares the checksum when it is asked for what comes after the last byte.
    if reader.read(1):
        raise FrameError("it holds more than it declares")


def _read_exactly(reader: zstandard.ZstdDecompressionReader, out: Bytes) -> None:
    position = 0
    while position < out.size:
        count = reader.readinto(out[position:].data)
        if count == 0:
            raise FrameError("it ends early")
        position += count


def check_frame(frame: bytes | bytearray | memoryview, content_bytes: int) -> None:
    """Read everything that a frame declares about itself; nothing is decompressed or allocated.

    Args:
        frame: As `encode_frame` returns it.
        content_bytes: What it should hold.

    Raises:
        FrameError: It is truncated, followed by other bytes, or declares another size or one that
            its blocks could not fill.
    """
    try:
        parameters = zstandard.get_frame_parameters(frame)
        if parameters.content_size != content_bytes:
            raise FrameError(f"it declares {parameters.content_size} bytes, not {content_bytes}")
        if parameters.dict_id or not parameters.has_checksum:
            raise FrameError("it needs a dictionary or has no checksum")
        size, blocks = _walk(frame)
    except zstandard.ZstdError as error:
        raise FrameError(str(error)) from error
    if size != len(frame):
        raise FrameError("it is cut off, or other bytes follow it")
    if content_bytes > blocks * _MAX_BLOCK_BYTES:
        raise FrameError(f"it declares {content_bytes} bytes, which its blocks can't fill")


def _walk(frame: bytes | bytearray | memoryview) -> tuple[int, int]:
    """A frame's length by its blocks' headers, which may be more than there is; their number."""
    position = zstandard.frame_header_size(frame)
    last = False
    blocks = 0
    while not last:
        header = int.from_bytes(frame[position : position + _BLOCK_HEADER_BYTES], "little")
        position += _BLOCK_HEADER_BYTES
        if position > len(frame):
            return position, blocks
        last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        if kind == _RESERVED_BLOCK:
            raise FrameError("it has a block of a reserved kind")
        position += 1 if kind == _RLE_BLOCK else size
        blocks += 1
    return position + _CHECKSUM_BYTES, blocks

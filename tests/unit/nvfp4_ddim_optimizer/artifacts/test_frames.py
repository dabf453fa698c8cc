"""A frame gives back every byte, and a damaged one gives none."""

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.artifacts.frames import (
    FrameError,
    check_frame,
    decode_frame,
    encode_frame,
)


def decode(frame: bytes, size: int, item_bytes: int = 1) -> bytes:
    out = np.empty(size, np.uint8)
    decode_frame(frame, out, item_bytes)
    return out.tobytes()


def symbols(size: int, seed: int = 0) -> np.ndarray:
    """Bytes of uneven frequency and without repetitions, as codes are."""
    generator = np.random.default_rng(seed)
    return np.clip(generator.normal(7, 2, size), 0, 15).astype(np.uint8)


@given(st.binary(min_size=1, max_size=5_000), st.sampled_from([1, 2, 4, 8]))
def test_a_round_trip(data: bytes, item_bytes: int) -> None:
    data = data * item_bytes
    frame = encode_frame(np.frombuffer(data, np.uint8), item_bytes)
    assert decode(frame, len(data), item_bytes) == data


@pytest.mark.parametrize("item_bytes", [1, 2, 4])
def test_a_round_trip_of_many_blocks(item_bytes: int) -> None:
    data = symbols(1_200_000)
    frame = encode_frame(data, item_bytes)
    assert len(frame) < 0.5 * len(data)
    assert decode(frame, len(data), item_bytes) == data.tobytes()


def test_the_bytes_depend_on_the_data_alone() -> None:
    data = symbols(100_000)
    assert encode_frame(data, 1) == encode_frame(data.copy(), 1)


def test_repetitions_are_found() -> None:
    data = np.tile(np.random.default_rng(0).integers(0, 256, 50_000, dtype=np.uint8), 4)
    assert len(encode_frame(data, 1)) < 0.3 * len(data)


@pytest.mark.parametrize("item_bytes", [1, 2])
def test_a_flipped_bit_anywhere(item_bytes: int) -> None:
    data = symbols(3_000)
    frame = encode_frame(data, item_bytes)
    for position in range(len(frame)):
        for bit in (0, 3, 7):
            damaged = bytearray(frame)
            damaged[position] ^= 1 << bit
            try:
                found = decode(bytes(damaged), len(data), item_bytes)
            except FrameError:
                continue
            # Bits that the format does not use may differ; no byte of the tensor ever does.
            assert found == data.tobytes(), position


@pytest.mark.parametrize("item_bytes", [1, 2])
def test_a_truncated_frame_of_any_length(item_bytes: int) -> None:
    data = symbols(3_000)
    frame = encode_frame(data, item_bytes)
    for length in range(len(frame)):
        with pytest.raises(FrameError):
            decode(frame[:length], len(data), item_bytes)


def test_bytes_after_the_frame() -> None:
    data = symbols(3_000)
    frame = encode_frame(data, 1)
    for extra in (b"\0", frame):
        with pytest.raises(FrameError, match="follow"):
            decode(frame + extra, len(data))


@pytest.mark.parametrize("size", [2_999, 3_001, 0])
def test_another_size_is_refused_before_anything_is_written(size: int) -> None:
    frame = encode_frame(symbols(3_000), 1)
    out = np.full(size, 0xAB, np.uint8)
    with pytest.raises(FrameError, match="declares 3000 bytes"):
        decode_frame(frame, out, 1)
    assert (out == 0xAB).all()


def test_a_bomb_that_lies_about_its_size() -> None:
    # Sixteen megabytes of zeros behind a header that promises 3,000 bytes.
    bomb = zstandard.ZstdCompressor(level=19, write_checksum=True).compress(bytes(2**24))
    small = zstandard.ZstdCompressor(write_checksum=True).compress(bytes(3_000))
    header = zstandard.frame_header_size(small)
    forged = small[:header] + bomb[zstandard.frame_header_size(bomb) :]
    for item_bytes in (1, 2):
        with pytest.raises(FrameError):
            decode(forged, 3_000, item_bytes)


def test_a_size_that_the_blocks_could_not_fill() -> None:
    # RFC 8878, section 3.1.1.1: magic number, 8 bytes of size and a checksum, one empty last block.
    size = 2**50
    forged = b"\x28\xb5\x2f\xfd\xe4" + size.to_bytes(8, "little") + b"\x01\0\0" + bytes(4)
    with pytest.raises(FrameError, match="can't fill"):
        check_frame(forged, size)


def test_a_frame_without_size_or_checksum() -> None:
    data = symbols(3_000).tobytes()
    without_size = zstandard.ZstdCompressor(write_content_size=False).compress(data)
    with pytest.raises(FrameError, match="declares"):
        decode(without_size, len(data))
    without_checksum = zstandard.ZstdCompressor(write_checksum=False).compress(data)
    with pytest.raises(FrameError, match="checksum"):
        decode(without_checksum, len(data))


@pytest.mark.parametrize("frame", [b"", b"\0" * 40, b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18" * 10])
def test_what_is_no_frame(frame: bytes) -> None:
    with pytest.raises(FrameError):
        decode(frame, 100)

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.errors import BitstreamError
from nvfp4_ddim_optimizer.tasks.compress.container import (
    MAGIC,
    Mode,
    PictureFile,
    pack,
    symbol_checksum,
    unpack,
    unpack_partial,
)

FILE = PictureFile(
    mode=Mode.LATENT,
    model_id=b"\x01\x02\x03\x04",
    width=768,
    height=512,
    settings=(90, 1, 2**32 - 1),
    segments=(b"first segment", b"the second"),
    checksum=0xBEEF,
)

files = st.builds(
    PictureFile,
    mode=st.just(Mode.LATENT),
    model_id=st.binary(min_size=4, max_size=4),
    width=st.integers(1, 5792),
    height=st.integers(1, 5792),
    settings=st.tuples(*[st.integers(0, 2**32 - 1)] * 3),
    segments=st.tuples(st.binary(max_size=300), st.binary(max_size=300)),
    checksum=st.integers(0, 2**16 - 1),
)


@settings(deadline=None)
@given(files)
def test_what_is_packed_is_unpacked(file: PictureFile) -> None:
    assert unpack(pack(file)) == file
    assert unpack_partial(pack(file)) == file


def test_a_page_has_one_segment() -> None:
    page = dataclasses.replace(FILE, mode=Mode.PAGE, settings=(4, 8), segments=(b"page",))
    assert unpack(pack(page)) == page


def test_every_truncation_is_refused() -> None:
    blob = pack(FILE)
    for length in range(len(blob)):
        with pytest.raises(BitstreamError, match=r"truncated|no compressed picture"):
            unpack(blob[:length])


def test_every_altered_byte_is_refused() -> None:
    blob = pack(FILE)
    for position in range(len(blob)):
        altered = bytearray(blob)
        altered[position] ^= 0x15
        with pytest.raises(BitstreamError):
            unpack(bytes(altered))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_foreign_files_are_refused(blob: bytes) -> None:
    for data in (blob, MAGIC + blob):
        with pytest.raises(BitstreamError):
            unpack(data)


def test_what_comes_after_is_refused() -> None:
    with pytest.raises(BitstreamError, match="followed by something else"):
        unpack(pack(FILE) + b"more")


def test_later_versions_and_unknown_modes_are_named() -> None:
    blob = bytearray(pack(FILE))
    blob[4] = 9
    with pytest.raises(BitstreamError, match="version 9"):
        unpack(bytes(blob))
    blob[4], blob[5] = 1, 7
    with pytest.raises(BitstreamError, match="mode 7"):
        unpack(bytes(blob))


def test_a_picture_of_absurd_size_is_refused() -> None:
    with pytest.raises(BitstreamError, match="not allowed"):
        unpack(pack(dataclasses.replace(FILE, width=60_000)))
    with pytest.raises(BitstreamError, match="not allowed"):
        unpack(pack(dataclasses.replace(FILE, width=16_000, height=16_000)))


def test_a_file_that_is_arriving_gives_its_complete_segments() -> None:
    blob = pack(FILE)
    second = len(FILE.segments[1] or b"")
    arriving = unpack_partial(blob[: -second + 3])
    assert arriving is not None
    assert arriving.segments == (FILE.segments[0], None)
    assert unpack_partial(blob[:9]) is None
    with pytest.raises(BitstreamError):
        unpack_partial(b"GIF89a")


def test_symbol_checksum_sees_one_changed_symbol() -> None:
    assert symbol_checksum(b"\x00\x00\x01\x00") != symbol_checksum(b"\x00\x00\x02\x00")

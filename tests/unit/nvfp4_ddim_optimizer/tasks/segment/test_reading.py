from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.tasks.segment import read_scan
from nvfp4_ddim_optimizer.tasks.segment import scan as scan_module

Encode = Callable[..., bytes]


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_lossless_pictures_come_back(format_: str, picture: np.ndarray, encoded: Encode) -> None:
    scan = read_scan(encoded(picture, format_))
    assert (scan.source, scan.spacing_mm, scan.limits) == ("image", None, None)
    np.testing.assert_array_equal(scan.slices, picture[None])


def test_jpeg_is_read(picture: np.ndarray, encoded: Encode) -> None:
    assert read_scan(encoded(picture, "JPEG")).slices.shape == (1, *picture.shape)


def test_sixteen_bits_are_kept(encoded: Encode) -> None:
    deep = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    for format_ in ("PNG", "TIFF"):
        np.testing.assert_array_equal(read_scan(encoded(deep, format_)).slices[0], deep)


def test_sixteen_bits_in_three_colours_are_kept() -> None:
    tifffile = pytest.importorskip("tifffile")
    from io import BytesIO

    deep = np.random.default_rng(0).integers(0, 65535, (20, 30, 3), dtype=np.uint16)
    buffer = BytesIO()
    tifffile.imwrite(buffer, deep, photometric="rgb")
    np.testing.assert_array_equal(read_scan(buffer.getvalue()).slices[0], deep)


def test_pages_are_slices(picture: np.ndarray) -> None:
    from io import BytesIO

    from PIL import Image

    pages = [Image.fromarray(picture + k) for k in range(3)]
    buffer = BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    slices = read_scan(buffer.getvalue()).slices
    assert slices.shape == (3, *picture.shape)
    assert slices[2, 0, 0, 0] == picture[0, 0, 0] + 2


def test_transparency_is_dropped(picture: np.ndarray, encoded: Encode) -> None:
    opaque = np.concatenate([picture, np.full((*picture.shape[:2], 1), 255, np.uint8)], axis=2)
    np.testing.assert_array_equal(read_scan(encoded(opaque)).slices[0], picture)


@pytest.mark.parametrize(
    "data", [b"", b"not a picture", b"II*\0junk", b"PK\x03\x04junk", b"\x1f\x8bjunk", b"%PDF-1.7"]
)
def test_foreign_and_damaged_files_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        read_scan(data)


@given(st.binary(max_size=600), st.integers(0, 3))
def test_no_bytes_break_the_reader(noise: bytes, kind: int) -> None:
    starts = (
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\0" * 128 + b"DICM",
        b"\x5c\x01\0\0" + b"\0" * 340 + b"n+1\0",
    )
    with pytest.raises(InvalidInputError):
        read_scan(starts[kind] + noise)


@given(st.data())
def test_truncated_pictures_are_refused_or_whole(data: st.DataObject) -> None:
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(np.arange(900).astype(np.uint8).reshape(30, 30)).save(buffer, "PNG")
    whole = buffer.getvalue()
    cut = whole[: data.draw(st.integers(0, len(whole) - 20))]
    with pytest.raises(InvalidInputError):
        read_scan(cut)


def test_too_large_a_picture_is_refused_before_decoding(
    monkeypatch: pytest.MonkeyPatch, picture: np.ndarray, encoded: Encode
) -> None:
    monkeypatch.setattr(scan_module, "MAX_PIXELS", 1000)
    with pytest.raises(InvalidInputError, match="cut the file into parts"):
        read_scan(encoded(picture))

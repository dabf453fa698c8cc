"""Bytes to an upright picture."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.tasks.analyze.photo import read_photo, upright

Encode = Callable[..., bytes]
ORIENTATION = 0x0112


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_formats(kind: str, leaf: Image.Image, encoded: Encode) -> None:
    photo = read_photo(encoded(leaf, kind))
    assert (photo.mode, photo.size) == ("RGB", leaf.size)


def test_exif_orientation_is_honoured(leaf: Image.Image, encoded: Encode) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # the camera was turned: show it turned clockwise
    stored = leaf.rotate(90, expand=True)
    photo = read_photo(encoded(stored, "PNG", exif=exif))
    assert np.array_equal(np.asarray(photo), np.asarray(leaf))


def test_transparency_lies_on_white(encoded: Encode) -> None:
    photo = read_photo(encoded(Image.new("RGBA", (40, 40), (0, 255, 0, 0)), "PNG"))
    assert photo.getpixel((5, 5)) == (255, 255, 255)


def test_grey_pictures_become_rgb(encoded: Encode) -> None:
    assert read_photo(encoded(Image.new("L", (40, 40), 9), "PNG")).mode == "RGB"


@pytest.mark.parametrize("data", [b"", b"not a picture", b"GIF89a" + bytes(60)])
def test_foreign_files_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match="JPEG, PNG or WebP"):
        read_photo(data)


def test_a_truncated_file_is_refused(leaf: Image.Image, encoded: Encode) -> None:
    with pytest.raises(InvalidInputError, match="damaged"):
        read_photo(encoded(leaf)[:-400])


def test_a_tiny_picture_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="32 along each side"):
        upright(Image.new("RGB", (31, 400)))


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"]))
def test_any_bytes_are_refused_with_our_error(data: bytes, magic: bytes) -> None:
    with pytest.raises(InvalidInputError):
        read_photo(magic + data)

"""Other picture codecs, each asked for a file of a given size.

JPEG, WebP and AVIF come from Pillow, JPEG XL from imagecodecs (libjxl), HEVC from pillow-heif
(x265 in HEIF). Sizes are whole files with their headers, as a user sends them.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import numpy as np
import pillow_heif
from PIL import Image

__all__ = ["CODECS", "Coded", "code_to_size", "jpeg_of_size"]

Encode = Callable[[Image.Image, float], bytes]


@dataclass(frozen=True)
class Coded:
    """A picture that went through a codec.

    Attributes:
        image: What came back.
        size: Bytes of the file.
        fits: Whether the file is within the size asked for; otherwise it is the smallest one.
    """

    image: Image.Image
    size: int
    fits: bool


def _pillow(format_name: str, **options: object) -> Encode:
    def encode(image: Image.Image, quality: float) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, format_name, quality=round(quality), **options)
        return buffer.getvalue()

    return encode


def _jpeg_xl(image: Image.Image, quality: float) -> bytes:
    # Distances 25 … 0.5 of libjxl; beyond 25 it does not go.
    distance = 25.0 * (0.5 / 25.0) ** (quality / 100)
    return bytes(imagecodecs.jpegxl_encode(np.asarray(image), distance=distance, effort=7))


def _open(data: bytes) -> Image.Image:
    if data[:2] == b"\xff\x0a" or data[4:8] == b"JXL ":
        return Image.fromarray(imagecodecs.jpegxl_decode(data)[..., :3])
    return Image.open(io.BytesIO(data)).convert("RGB")


pillow_heif.register_heif_opener()

CODECS: dict[str, Encode] = {
    "jpeg": _pillow("JPEG", optimize=True, progressive=True),
    "webp": _pillow("WEBP", method=6),
    "avif": _pillow("AVIF", speed=6),
    "jpegxl": _jpeg_xl,
    "hevc": _pillow("HEIF"),
}
"""(picture, quality 0 … 100) -> file."""


def code_to_size(name: str, image: Image.Image, target_bytes: float) -> Coded:
    """The largest file of at most 102 % of a size, or the smallest that there is.

    Args:
        name: One of CODECS.
        image: RGB.
        target_bytes: The size.
    """
    encode, limit = CODECS[name], 1.02 * target_bytes
    low, high = 0, 60
    best = encode(image, low)
    if len(best) > limit:
        return Coded(_open(best), len(best), fits=False)
    while low < high:
        middle = (low + high + 1) // 2
        data = encode(image, middle)
        if len(data) <= limit:
            low, best = middle, data
        else:
            high = middle - 1
    return Coded(_open(best), len(best), fits=True)


def jpeg_of_size(image: Image.Image, target_bytes: int) -> Coded:
    """JPEG of a picture made smaller, by as little as makes its file fit, and enlarged again."""
    for eighths in range(8, 0, -1):
        size = image.width * eighths // 8, image.height * eighths // 8
        coded = code_to_size("jpeg", image.resize(size, Image.Resampling.LANCZOS), target_bytes)
        if coded.fits:
            break
    shown = coded.image.resize(image.size, Image.Resampling.LANCZOS)
    return Coded(shown, coded.size, coded.fits)

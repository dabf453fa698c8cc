"""PNG, JPEG and TIFF: pictures, and stacks of pages."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nvfp4_ddim_optimizer.errors import InvalidInputError

from .scan import Scan, check_size, missing_extra

__all__ = ["read_picture"]

_FORMATS = ("PNG", "JPEG", "TIFF")
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITS_PER_SAMPLE = 258
# Modes whose values are the picture's own; others (palettes, CMYK, YCbCr) go to RGB first.
_PLAIN_MODES = frozenset({"L", "RGB", "RGBA", "I", "I;16", "I;16B", "I;16L", "F"})


def read_picture(data: bytes) -> Scan:
    """Read a picture; the pages of a TIFF are slices.

    Args:
        data: The file.

    Raises:
        InvalidInputError: It is no such file, is damaged, too large, or needs a reader that is not
            installed.
    """
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as picture:
            pages = getattr(picture, "n_frames", 1)
            check_size(pages, picture.height, picture.width)
            if _is_deep_colour(picture):
                return _read_tiff(data)
            return Scan("image", _stack([_page(picture, index) for index in range(pages)]))
    except Image.DecompressionBombError as error:
        raise InvalidInputError(f"the picture is too large: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, InvalidInputError):
            raise
        if data.startswith(_TIFF_MAGIC):
            return _read_tiff(data)
        raise InvalidInputError(
            "the file is none that can be segmented, or is damaged; PNG, JPEG, TIFF, DICOM (one "
            f"file, or a zip of a series) and NIfTI can: {error}"
        ) from error


def _is_deep_colour(picture: Image.Image) -> bool:
    """Whether Pillow would drop the lower bits of the colours of a TIFF."""
    tags = getattr(picture, "tag_v2", {})
    return picture.mode in {"RGB", "RGBA"} and max(tags.get(_BITS_PER_SAMPLE, (8,))) > 8


def _page(picture: Image.Image, index: int) -> NDArray[np.generic]:
    picture.seek(index)
    if picture.mode not in _PLAIN_MODES:
        return np.asarray(picture.convert("RGB"))
    return np.asarray(picture)[..., :3] if picture.mode == "RGBA" else np.asarray(picture)


def _read_tiff(data: bytes) -> Scan:
    """Kinds of TIFF that Pillow does not know, such as 16 bits in three colours."""
    try:
        import tifffile
    except ImportError:
        raise missing_extra("tifffile", "this TIFF") from None
    try:
        with tifffile.TiffFile(BytesIO(data)) as file:
            series = file.series[0]
            check_size(*series.shape)
            pages = series.asarray()
    except InvalidInputError:
        raise
    except Exception as error:  # damaged files raise errors of many kinds there
        raise InvalidInputError(f"the TIFF can't be read: {error}") from error
    if pages.ndim == 3 and pages.shape[0] in {3, 4} and series.axes[0] in "SC":
        pages = np.moveaxis(pages, 0, -1)
    if pages.ndim == 2 or (pages.ndim == 3 and pages.shape[-1] in {3, 4}):
        pages = pages[None]
    return Scan("image", _stack(list(pages)))


def _stack(pages: list[NDArray[np.generic]]) -> NDArray[np.generic]:
    if len({page.shape for page in pages}) != 1:
        raise InvalidInputError("the pages of the TIFF differ in size: segment them one by one")
    stacked = np.stack([page[..., :3] if page.ndim == 3 else page for page in pages])
    if stacked.ndim not in {3, 4} or (stacked.ndim == 4 and stacked.shape[-1] not in {1, 3}):
        raise InvalidInputError(
            f"a picture is grey or has three colours; this one has the shape {stacked.shape[1:]}"
        )
    return stacked

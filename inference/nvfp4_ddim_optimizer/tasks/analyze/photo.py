"""A photo's bytes to an upright RGB picture."""

import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["read_photo", "upright"]

_FORMATS = ("JPEG", "PNG", "WEBP")
_MAX_PIXELS = 100_000_000
_MIN_SIDE = 32


def read_photo(data: bytes) -> Image.Image:
    """Decode a JPEG, PNG or WebP file, turned as its EXIF orientation says.

    Args:
        data: The file.

    Returns:
        RGB. Transparent pixels lie on white.

    Raises:
        InvalidInputError: It is another format, damaged, or too small or large.
    """
    try:
        with warnings.catch_warnings():
            # The limit below is the one that counts.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            if image.width * image.height > _MAX_PIXELS:
                raise InvalidInputError(
                    f"the photo has {image.width}x{image.height} pixels; {_MAX_PIXELS} are the "
                    "most: make it smaller"
                )
            image.load()
    except UnidentifiedImageError as error:
        raise InvalidInputError("the photo is no JPEG, PNG or WebP file") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"the photo is damaged: {error}") from error
    return upright(image)


def upright(image: Image.Image) -> Image.Image:
    """The picture as a viewer shows it: turned by its EXIF orientation, RGB.

    Raises:
        InvalidInputError: A side is shorter than 32 pixels.
    """
    if min(image.size) < _MIN_SIDE:
        raise InvalidInputError(
            f"the photo has {image.width}x{image.height} pixels; {_MIN_SIDE} along each side are "
            "the least"
        )
    turned = ImageOps.exif_transpose(image)
    if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
        with_alpha = turned.convert("RGBA")
        ground = Image.new("RGBA", with_alpha.size, "white")
        return Image.alpha_composite(ground, with_alpha).convert("RGB")
    return turned.convert("RGB")

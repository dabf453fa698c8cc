"""Pictures to files that carry where they came from."""

import os
from pathlib import Path

from PIL.Image import Image

from nvfp4_ddim_contracts import ImageFormat, Provenance
from nvfp4_ddim_optimizer.encoding import encode_image
from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["image_format_of", "save_image"]


def image_format_of(path: Path) -> ImageFormat:
    """The encoding that a file's name asks for.

    Raises:
        InvalidInputError: It asks for one that is not supported.
    """
    extension = path.suffix.lower().lstrip(".")
    try:
        return ImageFormat("jpeg" if extension == "jpg" else extension)
    except ValueError:
        raise InvalidInputError(
            f"can't write {path.name!r}: end the name in .png, .webp or .jpg"
        ) from None


def save_image(image: Image, path: Path, provenance: Provenance) -> None:
    """Write a picture, whole or not at all; its folder is made if it is missing.

    Args:
        image: RGB.
        path: Ends in .png, .webp, .jpg or .jpeg.
        provenance: Goes into the file; see `encode_image`.

    Raises:
        InvalidInputError: The name asks for an encoding that is not supported.
    """
    encoded = encode_image(image, image_format_of(path), provenance)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    unfinished.write_bytes(encoded)
    unfinished.replace(path)

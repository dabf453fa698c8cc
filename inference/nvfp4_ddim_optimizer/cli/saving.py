"""Pictures to files that carry where they came from."""

from pathlib import Path

from nvfp4_ddim_contracts import ImageFormat, Provenance
from PIL.ExifTags import Base
from PIL.Image import Exif, Image
from PIL.PngImagePlugin import PngInfo

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
    """Write a picture; its folder is made if it is missing.

    Args:
        image: RGB.
        path: Ends in .png, .webp, .jpg or .jpeg.
        provenance: Goes, as JSON, into PNG's text chunk `Description`, or the Exif tag
            `ImageDescription` of the others. The prompt does not: a picture that is passed on
            should not tell what its maker typed.

    Raises:
        InvalidInputError: The name asks for an encoding that is not supported.
    """
    image_format = image_format_of(path)
    software = f"nvfp4-ddim-optimizer {provenance.library_version}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if image_format is ImageFormat.PNG:
        text = PngInfo()
        text.add_text("Software", software)
        text.add_text("Description", provenance.model_dump_json())
        image.save(path, "PNG", pnginfo=text)
        return
    exif = Exif()
    exif[Base.Software] = software
    exif[Base.ImageDescription] = provenance.model_dump_json()
    image.save(path, image_format.name, quality=95, exif=exif)

"""Pictures as bytes. The same picture always gives the same bytes."""

import io

from PIL import PngImagePlugin
from PIL.ExifTags import Base
from PIL.Image import Exif, Image

from nvfp4_ddim_contracts import ImageFormat, Provenance

__all__ = ["encode_image"]


def encode_image(image: Image, image_format: ImageFormat, provenance: Provenance) -> bytes:
    """Encode a picture and write into it where it came from.

    Args:
        image: The picture, RGB.
        image_format: The encoding.
        provenance: Goes, as JSON, into PNG's text chunk `Description`, or into the Exif tag
            `ImageDescription` of the others. The prompt does not: a picture that is passed on
            should not tell what its maker typed.

    Returns:
        The encoded picture.
    """
    software = f"nvfp4-ddim-optimizer {provenance.library_version}"
    description = provenance.model_dump_json()
    buffer = io.BytesIO()
    if image_format is ImageFormat.PNG:
        text = PngImagePlugin.PngInfo()
        text.add_text("Software", software)
        text.add_text("Description", description)
        image.save(buffer, "PNG", pnginfo=text)
        return buffer.getvalue()
    exif = Exif()
    exif[Base.Software] = software
    exif[Base.ImageDescription] = description
    if image_format is ImageFormat.WEBP:
        image.save(buffer, "WEBP", quality=90, method=4, exif=exif)
    else:
        image.save(buffer, "JPEG", quality=95, subsampling=0, exif=exif)
    return buffer.getvalue()

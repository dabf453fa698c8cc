import io

import pytest
from PIL import Image

from nvfp4_ddim_contracts import ImageFormat, Preset, Provenance
from nvfp4_ddim_optimizer.encoding import encode_image

PROVENANCE = Provenance(
    model="fake-model",
    artifact_sha256="a" * 64,
    preset=Preset.FAST,
    num_inference_steps=10,
    guidance_scale=3.0,
    eta=0.0,
    seed=9,
    execution_path="cpu/fp32/fake",
    library_version="0.1.0",
)
PICTURE = Image.linear_gradient("L").resize((64, 32)).convert("RGB")


@pytest.mark.parametrize("image_format", list(ImageFormat))
def test_round_trip(image_format: ImageFormat) -> None:
    decoded = Image.open(io.BytesIO(encode_image(PICTURE, image_format, PROVENANCE)))
    assert decoded.format == image_format.name
    assert decoded.size == (64, 32)


def test_png_keeps_every_pixel_and_the_provenance() -> None:
    decoded = Image.open(io.BytesIO(encode_image(PICTURE, ImageFormat.PNG, PROVENANCE)))
    assert decoded.tobytes() == PICTURE.tobytes()
    assert decoded.info["Software"] == "nvfp4-ddim-optimizer 0.1.0"
    assert Provenance.model_validate_json(decoded.info["Description"]) == PROVENANCE


@pytest.mark.parametrize("image_format", [ImageFormat.WEBP, ImageFormat.JPEG])
def test_exif_carries_the_provenance(image_format: ImageFormat) -> None:
    decoded = Image.open(io.BytesIO(encode_image(PICTURE, image_format, PROVENANCE)))
    assert Provenance.model_validate_json(decoded.getexif()[0x010E]) == PROVENANCE


@pytest.mark.parametrize("image_format", list(ImageFormat))
def test_same_picture_same_bytes(image_format: ImageFormat) -> None:
    first = encode_image(PICTURE, image_format, PROVENANCE)
    assert first == encode_image(PICTURE.copy(), image_format, PROVENANCE)

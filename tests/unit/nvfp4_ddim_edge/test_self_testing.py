import base64
import io

import numpy as np
import pytest
from PIL import Image

from nvfp4_ddim_contracts.edge import SelfTest
from nvfp4_ddim_edge.errors import SelfTestError
from nvfp4_ddim_edge.self_testing import compare


def picture(offset: int = 0) -> Image.Image:
    values = np.arange(64 * 64 * 3).reshape(64, 64, 3) % 200 + offset
    return Image.fromarray(values.astype(np.uint8))


def expecting(image: Image.Image, min_psnr_db: float = 30) -> SelfTest:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return SelfTest(expected_png=base64.b64encode(buffer.getvalue()), min_psnr_db=min_psnr_db)


def test_pictures_are_compared_by_psnr() -> None:
    assert compare(picture(), expecting(picture())) is None
    # An error of 2 everywhere: 10 log10(255^2 / 4).
    assert compare(picture(2), expecting(picture())) == pytest.approx(42.11, abs=0.01)
    with pytest.raises(SelfTestError, match=r"18\.0 dB .* 30\.0 dB"):
        compare(picture(32), expecting(picture()))


def test_another_size_or_one_flat_colour_is_no_success() -> None:
    with pytest.raises(SelfTestError, match="not as large"):
        compare(picture().resize((32, 32)), expecting(picture()))
    assert compare(picture(), SelfTest()) is None
    with pytest.raises(SelfTestError, match="flat"):
        compare(Image.new("RGB", (64, 64), "grey"), SelfTest())

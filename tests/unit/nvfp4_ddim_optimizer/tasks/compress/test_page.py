import numpy as np
import pytest
from PIL import Image, ImageDraw

from nvfp4_ddim_optimizer.errors import BitstreamError
from nvfp4_ddim_optimizer.tasks.compress.page import (
    COLOURS,
    EIGHTHS,
    decode_page,
    encode_page,
    estimate_bits,
    make_page,
)


def letters(width: int = 200, height: int = 90) -> Image.Image:
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    for row in range(height // 20):
        pen.text((4, 4 + 20 * row), "rice, maize, millet and beans", (10, 20, 90))
    pen.rectangle((150, 60, 190, 80), (200, 40, 30))
    return image


@pytest.mark.parametrize("colours", COLOURS)
@pytest.mark.parametrize("eighths", EIGHTHS)
def test_a_page_comes_back_exactly(colours: int, eighths: int) -> None:
    page = make_page(letters(), colours, eighths)
    blob = encode_page(page)
    decoded = decode_page(blob, (colours, eighths), 200, 90)
    np.testing.assert_array_equal(decoded.indices, page.indices)
    np.testing.assert_array_equal(decoded.palette, page.palette)
    assert decoded.image().size == (200, 90)


@pytest.mark.parametrize("colours", [2, 4])
def test_the_estimate_is_near_what_coding_takes(colours: int) -> None:
    """It decides which pages are really coded."""
    page = make_page(letters(480, 360), colours, 8)
    assert len(encode_page(page)) == pytest.approx(estimate_bits(page) / 8, rel=0.4, abs=60)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 1), (7, 5)])
def test_tiny_pages_come_back(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    page = make_page(Image.fromarray(pixels), 4, 8)
    decoded = decode_page(encode_page(page), (4, 8), *size)
    np.testing.assert_array_equal(decoded.indices, page.indices)


def test_few_colours_are_exact() -> None:
    flat = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(flat).rectangle((10, 10, 40, 40), "black")
    page = make_page(flat, 2, 8)
    assert np.array_equal(np.asarray(page.image()), np.asarray(flat))
    assert len(encode_page(page)) < 40


@pytest.mark.parametrize("settings", [(3, 8), (2, 7), (0, 8), (16, 8)])
def test_nonsense_settings_are_refused(settings: tuple[int, int]) -> None:
    with pytest.raises(BitstreamError):
        decode_page(b"\x00" * 20, settings, 20, 20)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.tasks.segment.preprocess import Contrast, normalise_image, to_colour


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int16, np.float32]),
        arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24),
        elements={"allow_nan": False, "allow_infinity": False, "min_value": 0, "max_value": 200},
    )
)
def test_any_grey_image_lands_in_range(image: np.ndarray) -> None:
    normalised = normalise_image(image)
    assert normalised.shape == (4, *image.shape)
    assert normalised.dtype == np.float32
    assert np.isfinite(normalised).all()
    assert normalised.min() >= -1
    assert normalised.max() <= 1


def test_exposure_does_not_matter(picture: np.ndarray) -> None:
    brighter = picture.astype(np.uint16) * 37 + 500
    np.testing.assert_allclose(normalise_image(brighter), normalise_image(picture), atol=1e-5)


def test_a_bright_background_is_made_dark(picture: np.ndarray) -> None:
    stained = 255 - picture
    assert Contrast.of(to_colour(stained)).bright_background
    assert not Contrast.of(to_colour(picture)).bright_background
    inverted, plain = normalise_image(stained), normalise_image(picture)
    np.testing.assert_allclose(inverted[:3], plain[:3], atol=1e-5)
    assert (inverted[3] == 1).all()
    assert (plain[3] == -1).all()


def test_limits_set_black_and_white() -> None:
    values = np.linspace(0, 100, 300, dtype=np.float32).reshape(10, 10, 3)
    contrast = Contrast.of(values, (50.0, 60.0))
    assert (contrast.low, contrast.high) == (50.0, 60.0)
    dark = contrast.apply(np.full((1, 1, 3), 49, np.float32))
    assert dark[0, 0, 0] == -1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 2)), "shape"),
        (np.zeros(4), "shape"),
        (np.zeros((0, 4)), "shape"),
        (np.zeros((4, 4), complex), "real numbers"),
        (np.full((4, 4), np.nan), "not finite"),
    ],
)
def test_what_is_no_image_is_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        normalise_image(image)

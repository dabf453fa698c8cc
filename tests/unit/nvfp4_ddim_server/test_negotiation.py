import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvfp4_ddim_contracts import GenerationRequest, ImageFormat
from nvfp4_ddim_server.errors import MediaTypeError, NotAcceptableError
from nvfp4_ddim_server.negotiation import check_content_type, choose_representation

WEBP = GenerationRequest(prompt="p", image_format="webp")
TWO = GenerationRequest(prompt="p", num_images=2)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, (False, ImageFormat.WEBP)),
        ("*/*", (False, ImageFormat.WEBP)),
        ("application/json", (False, ImageFormat.WEBP)),
        ("application/*", (False, ImageFormat.WEBP)),
        ("image/png", (True, ImageFormat.PNG)),
        ("IMAGE/JPEG", (True, ImageFormat.JPEG)),
        ("image/*", (True, ImageFormat.WEBP)),
        ("image/*, application/json;q=0.5", (True, ImageFormat.WEBP)),
        ("image/png;q=0.2, image/jpeg;q=0.9", (True, ImageFormat.JPEG)),
        ("image/*;q=0.9, image/webp;q=0.1", (True, ImageFormat.PNG)),
        ("application/json;q=0, */*;q=0.1", (True, ImageFormat.WEBP)),
        ("text/html, image/avif, */*;q=0.8", (False, ImageFormat.WEBP)),
    ],
)
def test_chooses(accept: str | None, expected: tuple[bool, ImageFormat]) -> None:
    assert choose_representation(accept, WEBP) == expected


@pytest.mark.parametrize("accept", ["text/html", "image/avif", "*/*;q=0", "nonsense", "*/*;q=nan"])
def test_refuses(accept: str) -> None:
    with pytest.raises(NotAcceptableError, match="application/json, image/webp"):
        choose_representation(accept, WEBP)


def test_several_pictures_do_not_fit_into_one_file() -> None:
    assert choose_representation("*/*", TWO) == (False, ImageFormat.PNG)
    with pytest.raises(NotAcceptableError, match="several pictures"):
        choose_representation("image/png", TWO)


@given(st.text(max_size=80))
def test_any_header_gives_a_choice_or_the_typed_error(accept: str) -> None:
    try:
        is_bare, image_format = choose_representation(accept, WEBP)
    except NotAcceptableError:
        return
    assert image_format in ImageFormat
    assert is_bare in (True, False)


@pytest.mark.parametrize("sent", [None, "application/json", "Application/JSON; charset=utf-8"])
def test_json_bodies_pass(sent: str | None) -> None:
    check_content_type(sent)


@pytest.mark.parametrize("sent", ["text/plain", "application/x-npy", "json", "", "application/"])
def test_other_bodies_do_not(sent: str) -> None:
    with pytest.raises(MediaTypeError, match="application/json"):
        check_content_type(sent)

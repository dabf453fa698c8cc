import base64
import hashlib
from typing import Any

import pytest

from local.sign_in_front.clients import SignInError
from local.sign_in_front.codes import Codes, Grant

VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()[:-1]
ASKED = {"client_id": "console", "redirect_uri": "http://page/", "verifier": VERIFIER}


def _given(codes: Codes) -> str:
    return codes.give(Grant("console", "http://page/", CHALLENGE, {"AccessToken": "t"}))


def test_a_code_is_good_once() -> None:
    codes = Codes()
    code = _given(codes)
    assert codes.redeem(code, **ASKED).tokens == {"AccessToken": "t"}
    with pytest.raises(SignInError, match="used"):
        codes.redeem(code, **ASKED)


@pytest.mark.parametrize(
    "change",
    [{"client_id": "other"}, {"redirect_uri": "http://evil/"}, {"verifier": "w" * 43}],
)
def test_a_refused_exchange_uses_the_code_up(change: dict[str, Any]) -> None:
    codes = Codes()
    code = _given(codes)
    with pytest.raises(SignInError) as caught:
        codes.redeem(code, **{**ASKED, **change})
    assert caught.value.code == "invalid_grant"
    with pytest.raises(SignInError, match="used"):
        codes.redeem(code, **ASKED)


def test_a_code_ages() -> None:
    times = iter([0.0, 301.0])
    codes = Codes(lambda: next(times))
    code = _given(codes)
    with pytest.raises(SignInError, match="too old"):
        codes.redeem(code, **ASKED)

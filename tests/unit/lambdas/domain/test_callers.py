import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.domain.callers import Caller, CallerService, owner_of_key, owner_of_person
from lambdas.domain.errors import InvalidTokenError, UnauthorizedError

KEY = "k" * 40
PEOPLE_KEY = "people-0123456789abcdef"
TOKEN = "eyJh.eyJz.c2ln"
SUBJECT = "6a1c0f5e-0000-4000-8000-1234567890ab"


class Tokens:
    """Trusts one token."""

    def subject(self, token: str) -> str:
        if token != TOKEN:
            raise InvalidTokenError("not mine")
        return SUBJECT


SERVICE = CallerService(tokens=Tokens(), people_key=PEOPLE_KEY)


@pytest.mark.parametrize(
    ("api_key", "authorization"),
    [
        (KEY, ""),
        ("", f"Bearer {KEY}"),
        ("", f"bearer  {KEY} "),
        (KEY, "Bearer other-key-of-some-length"),
        (KEY, f"Bearer {TOKEN}"),
    ],
)
def test_a_program_is_known_by_its_key(api_key: str, authorization: str) -> None:
    caller = SERVICE.identify(api_key, authorization)
    assert caller == Caller(owner=owner_of_key(KEY), usage_key=KEY)
    assert KEY not in repr(caller)


def test_a_person_is_known_by_their_token_and_counted_on_the_shared_key() -> None:
    caller = SERVICE.identify("", f"Bearer {TOKEN}")
    assert caller == Caller(owner=f"user:{SUBJECT}", usage_key=PEOPLE_KEY)


@pytest.mark.parametrize(
    "token", ["eyJh.eyJz.", "eyJh.eyJz.b3RoZXI", "eyJ..", f"eyJ{'x' * 40}.y.z"]
)
def test_what_looks_like_a_token_is_never_taken_for_a_key(token: str) -> None:
    with pytest.raises(InvalidTokenError):
        SERVICE.identify("", f"Bearer {token}")


@pytest.mark.parametrize(
    ("api_key", "authorization"),
    [
        ("", ""),
        ("short", ""),
        ("k" * 129, ""),
        ("k" * 1_000_000, ""),
        ("k" * 20 + " " + "k" * 20, ""),
        ("", KEY),
        ("", f"Basic {KEY}"),
        ("", f"Bearer {KEY} {KEY}"),
        ("", f"Bearer eyJ{'x' * 10_000}.y.z"),
        (PEOPLE_KEY, ""),
        ("", f"Bearer {PEOPLE_KEY}"),
    ],
)
def test_anybody_else_is_nobody(api_key: str, authorization: str) -> None:
    with pytest.raises(UnauthorizedError):
        SERVICE.identify(api_key, authorization)


@settings(deadline=None)
@given(st.from_regex(r"[\x21-\x7e]{20,128}", fullmatch=True), st.uuids())
def test_owners_are_stable_hide_the_key_and_never_meet(key: str, subject: object) -> None:
    owner = owner_of_key(key)
    assert owner == owner_of_key(key)
    assert len(owner) == 16
    assert owner not in key
    assert owner != owner_of_person(str(subject))

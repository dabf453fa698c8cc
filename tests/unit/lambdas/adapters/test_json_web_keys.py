import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.adapters.json_web_keys import JsonWebKeys
from lambdas.domain.errors import TokenKeysUnavailableError


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Any:
    return Clock()


def test_a_set_is_fetched_once_and_kept(pool: Any, clock: Any) -> None:
    keys = JsonWebKeys(pool.fetch, clock)
    assert [keys.find("first") is not None for _ in range(3)] == [True] * 3
    clock.seconds += keys.max_age_seconds
    assert keys.find("first") is not None
    assert pool.fetches == 1
    clock.seconds += 1
    assert keys.find("first") is not None
    assert pool.fetches == 2


def test_a_new_key_is_found_but_not_at_everybodys_word(pool: Any, clock: Any) -> None:
    keys = JsonWebKeys(pool.fetch, clock)
    keys.find("first")
    pool.key_ids.append("second")
    assert keys.find("second") is None
    clock.seconds += keys.pause_seconds
    assert keys.find("second") is not None
    assert [keys.find(f"invented-{number}") for number in range(50)] == [None] * 50
    assert pool.fetches == 2


def test_a_key_that_the_pool_withdrew_is_gone_after_the_next_fetch(pool: Any, clock: Any) -> None:
    keys = JsonWebKeys(pool.fetch, clock)
    keys.find("first")
    pool.key_ids[:] = ["second"]
    clock.seconds += keys.max_age_seconds + 1
    assert keys.find("first") is None


def test_keys_outlive_an_outage_of_their_pool(pool: Any, clock: Any) -> None:
    keys = JsonWebKeys(pool.fetch, clock)
    keys.find("first")
    pool.is_down = True
    clock.seconds += keys.max_age_seconds + 1
    assert keys.find("first") is not None
    assert keys.find("first") is not None
    assert pool.fetches == 2


def test_without_any_keys_there_is_no_answer(pool: Any, clock: Any) -> None:
    pool.is_down = True
    keys = JsonWebKeys(pool.fetch, clock)
    with pytest.raises(TokenKeysUnavailableError, match="no route to the pool"):
        keys.find("first")
    pool.is_down = False
    assert keys.find("first") is not None


RSA = {"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB"}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"keys": 3},
        {"keys": ["text"]},
        {"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0", "alg": "HS256"}]},
        {"keys": [{**RSA, "use": "enc"}]},
        {"keys": [{**RSA, "alg": "RS512"}]},
        {"keys": [{**RSA, "n": "!"}]},
    ],
)
def test_a_set_without_a_usable_key_is_no_set(document: Any, clock: Any) -> None:
    keys = JsonWebKeys(lambda: json.dumps(document).encode(), clock)
    with pytest.raises(TokenKeysUnavailableError):
        keys.find("a")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    keys = JsonWebKeys(lambda: body, Clock())  # type: ignore[arg-type]
    with pytest.raises(TokenKeysUnavailableError):
        keys.find("a")

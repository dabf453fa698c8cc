import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from lambdas.adapters.cognito_tokens import CognitoTokens
from lambdas.adapters.json_web_keys import JsonWebKeys
from lambdas.adapters.system import SystemClock
from lambdas.domain.errors import InvalidTokenError, TokenKeysUnavailableError

ISSUER = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI"
CLIENT = "1h57kf5cpq17m0eml12EXAMPLE"
SUBJECT = "6a1c0f5e-0000-4000-8000-1234567890ab"
NOW = int(time.time())
TOMORROW = NOW + 86_400  # a whole suite may run between import and test

MakeToken = Callable[..., str]


@pytest.fixture
def tokens(pool: Any) -> CognitoTokens:
    return CognitoTokens(ISSUER, CLIENT, JsonWebKeys(pool.fetch, SystemClock()))


def test_an_access_token_names_its_person(tokens: CognitoTokens, make_token: MakeToken) -> None:
    assert tokens.subject(make_token()) == SUBJECT


def test_clocks_may_differ_a_little(tokens: CognitoTokens, make_token: MakeToken) -> None:
    assert tokens.subject(make_token(exp=int(time.time()) - 5)) == SUBJECT
    assert tokens.subject(make_token(nbf=int(time.time()) + 5)) == SUBJECT


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW - 120}, "expired"),
        ({"exp": None}, "exp"),
        ({"nbf": TOMORROW}, "not yet valid"),
        ({"iat": TOMORROW}, "not yet valid"),
        ({"iss": ISSUER + "x"}, "issuer"),
        ({"iss": None}, "iss"),
        ({"client_id": "another"}, "another client"),
        ({"client_id": None, "aud": CLIENT}, "client_id"),
        ({"token_use": "id"}, "ID tokens"),
        ({"token_use": None}, "token_use"),
        ({"sub": None}, "sub"),
        ({"sub": "a:b"}, "no user's id"),
        ({"headers": {"kid": "unknown"}}, "lacks"),
        ({"headers": {"kid": ""}}, "lacks"),
    ],
)
def test_other_tokens_are_refused(
    tokens: CognitoTokens, make_token: MakeToken, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidTokenError, match=reason):
        tokens.subject(make_token(**changes))


def test_a_tampered_token_is_refused(tokens: CognitoTokens, make_token: MakeToken) -> None:
    header, _, signature = make_token().split(".")
    claims = jwt.decode(make_token(), options={"verify_signature": False})
    forged = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "somebody-else"}).encode())
    with pytest.raises(InvalidTokenError, match=r"[Ss]ignature"):
        tokens.subject(f"{header}.{forged.decode().rstrip('=')}.{signature}")


def test_a_token_of_another_key_under_a_known_name_is_refused(
    tokens: CognitoTokens, make_token: MakeToken
) -> None:
    with pytest.raises(InvalidTokenError, match=r"[Ss]ignature"):
        tokens.subject(make_token("other", headers={"kid": "first"}))


def test_the_token_does_not_choose_its_algorithm(
    tokens: CognitoTokens, make_token: MakeToken, pool: Any
) -> None:
    claims = jwt.decode(make_token(), options={"verify_signature": False})
    header = {"kid": "first"}
    unsigned = jwt.encode(claims, "", algorithm="none", headers=header)
    public = jwt.PyJWK.from_dict(json.loads(pool.fetch())["keys"][0]).key
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    # PyJWT itself won't sign with a public key as an HMAC secret; an attacker would.
    text = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "HS256", "kid": "first"}, claims)
    )
    digest = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signed = base64.urlsafe_b64encode(digest.sign(text.encode(), pem)).decode().rstrip("=")
    for token in (unsigned, f"{text}.{signed}"):
        with pytest.raises(InvalidTokenError, match="signed with RS256"):
            tokens.subject(token)


def test_an_outage_of_the_pool_is_not_the_callers_fault(
    tokens: CognitoTokens, make_token: MakeToken, pool: Any
) -> None:
    pool.is_down = True
    with pytest.raises(TokenKeysUnavailableError):
        tokens.subject(make_token())


def _no_keys() -> bytes:
    raise OSError


@given(st.from_regex(r"eyJ[\x21-\x7e]{0,60}(\.[\x21-\x7e]{0,60}){2}", fullmatch=True))
def test_any_text_is_refused(text: str) -> None:
    tokens = CognitoTokens(ISSUER, CLIENT, JsonWebKeys(_no_keys, SystemClock()))
    with pytest.raises((InvalidTokenError, TokenKeysUnavailableError)):
        tokens.subject(text)

"""A user pool's keys, and tokens signed with them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

ISSUER = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI"
CLIENT = "1h57kf5cpq17m0eml12EXAMPLE"
SUBJECT = "6a1c0f5e-0000-4000-8000-1234567890ab"


@cache
def rsa_key(key_id: str) -> RSAPrivateKey:
    """One key per id for the session: making them is slow."""
    del key_id
    return generate_private_key(public_exponent=65_537, key_size=2_048)


@dataclass
class Pool:
    """What the pool publishes, how often it was asked, and whether it answers."""

    key_ids: list[str] = field(default_factory=lambda: ["first"])
    fetches: int = 0
    is_down: bool = False

    def fetch(self) -> bytes:
        self.fetches += 1
        if self.is_down:
            raise OSError("no route to the pool")
        keys = []
        for key_id in self.key_ids:
            entry = json.loads(RSAAlgorithm.to_jwk(rsa_key(key_id).public_key()))
            keys.append({**entry, "kid": key_id, "alg": "RS256", "use": "sig"})
        return json.dumps({"keys": keys}).encode()


@pytest.fixture
def pool() -> Pool:
    return Pool()


@pytest.fixture
def make_token() -> Callable[..., str]:
    """Signs an access token; arguments change its claims, and None leaves one out."""

    def make(key_id: str = "first", headers: dict[str, Any] | None = None, **changes: Any) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": SUBJECT,
            "client_id": CLIENT,
            "token_use": "access",
            "iat": now,
            "exp": now + 3_600,
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(
            kept, rsa_key(key_id), algorithm="RS256", headers={"kid": key_id, **(headers or {})}
        )

    return make

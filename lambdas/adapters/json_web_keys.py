"""The public keys that a user pool signs with: fetched over HTTP, kept, and renewed with restraint.

A pool may change its keys at any time; a token then names a key that is not known yet. Anybody can
name such a key, so that a new fetch is made only every so often.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
import urllib3

from lambdas.domain.errors import TokenKeysUnavailableError
from lambdas.domain.ports import Clock

__all__ = ["ALGORITHM", "JsonWebKeys", "KeyFetcher", "fetch_over_http"]

ALGORITHM = "RS256"
_TIMEOUT = urllib3.Timeout(connect=2, read=3)
_MAX_BYTES = 100_000

KeyFetcher = Callable[[], bytes]
"""Reads a JSON Web Key Set, RFC 7517; raises OSError or urllib3's HTTPError where it can't."""


def fetch_over_http(url: str) -> KeyFetcher:
    """A fetcher of the set at `url`."""
    pool = urllib3.PoolManager(1)

    def fetch() -> bytes:
        answer = pool.request(
            "GET", url, timeout=_TIMEOUT, retries=1, redirect=False, preload_content=False
        )
        try:
            if answer.status != 200:
                raise OSError(f"{url} answered {answer.status}")
            return answer.read(_MAX_BYTES)
        finally:
            answer.release_conn()

    return fetch


@dataclass
class JsonWebKeys:
    """A key set in memory.

    Attributes:
        fetch: Reads the set.
        clock: Time.
        max_age_seconds: How long a set is used without looking again.
        pause_seconds: The least time between two fetches while there are keys.
    """

    fetch: KeyFetcher
    clock: Clock
    max_age_seconds: float = 3_600
    pause_seconds: float = 30
    _keys: dict[str, jwt.PyJWK] = field(default_factory=dict)
    _fetched_at: float = 0.0
    _tried_at: float = 0.0

    def find(self, key_id: str) -> jwt.PyJWK | None:
        """The RSA key of that id, or None.

        Raises:
            TokenKeysUnavailableError: No set could be fetched, ever.
        """
        now = self.clock.monotonic()
        is_old = now - self._fetched_at > self.max_age_seconds
        may_try = now - self._tried_at >= self.pause_seconds
        if not self._keys or ((is_old or key_id not in self._keys) and may_try):
            self._renew(now)
        return self._keys.get(key_id)

    def _renew(self, now: float) -> None:
        self._tried_at = now
        try:
            keys = _read(self.fetch())
        except (OSError, ValueError, urllib3.exceptions.HTTPError, jwt.PyJWTError) as error:
            # Keys outlive their pool's outage: what was right an hour ago is not wrong now.
            if self._keys:
                return
            raise TokenKeysUnavailableError(
                f"The keys of access tokens could not be read: {error}"
            ) from error
        self._keys, self._fetched_at = keys, now


def _read(body: bytes) -> dict[str, jwt.PyJWK]:
    document = json.loads(body)
    entries = document.get("keys") if isinstance(document, dict) else None
    found = {
        entry["kid"]: jwt.PyJWK.from_dict(entry, algorithm=ALGORITHM)
        for entry in (entries if isinstance(entries, list) else ())
        if _is_signing_key(entry)
    }
    if not found:
        raise ValueError("the set holds no RSA key for signatures")
    return found


def _is_signing_key(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("kid"), str)
        and entry.get("kty") == "RSA"
        and entry.get("use", "sig") == "sig"
        and entry.get("alg", ALGORITHM) == ALGORITHM
    )

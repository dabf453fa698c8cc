"""Authorization codes: each is good for one exchange, soon, by who began the sign-in.

Source: RFC 6749, section 4.1; RFC 7636 (PKCE).
"""

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .clients import SignInError

__all__ = ["Codes", "Grant"]

_LIFETIME_SECONDS = 300.0


@dataclass(frozen=True)
class Grant:
    """What a code stands for."""

    client_id: str
    redirect_uri: str
    challenge: str
    tokens: dict[str, Any] = field(repr=False)


class Codes:
    """Codes that were given out and not used yet."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._grants: dict[str, tuple[float, Grant]] = {}
        self._lock = threading.Lock()

    def give(self, grant: Grant) -> str:
        """A new code."""
        code = secrets.token_urlsafe(32)
        with self._lock:
            self._grants[code] = (self._now() + _LIFETIME_SECONDS, grant)
        return code

    def redeem(self, code: str, *, client_id: str, redirect_uri: str, verifier: str) -> Grant:
        """Exchange a code; it is used up even where the exchange is refused.

        Raises:
            SignInError: Unknown, used, too old, another client's, or the wrong verifier.
        """
        with self._lock:
            expires_at, grant = self._grants.pop(code, (0.0, None))
        if grant is None or expires_at < self._now():
            raise SignInError("invalid_grant", "The code is unknown, used or too old.")
        if (grant.client_id, grant.redirect_uri) != (client_id, redirect_uri):
            raise SignInError("invalid_grant", "The code was given to another client or page.")
        if not hmac.compare_digest(_challenge(verifier), grant.challenge):
            raise SignInError("invalid_grant", "The code verifier is not who began the sign-in.")
        return grant


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode(errors="replace")).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")

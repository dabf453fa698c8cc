"""Who calls: a program by its API key, or a person by an access token."""

import hashlib
import re
from dataclasses import dataclass, field

from .errors import UnauthorizedError
from .ports import TokenVerifier

__all__ = ["Caller", "CallerService", "owner_of_key", "owner_of_person"]

# Values of API Gateway's keys: 20 to 128 characters. Shorter ones can't exist, longer ones neither.
_KEY = re.compile(r"[\x21-\x7e]{20,128}")
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)
# Every JSON Web Token begins so: '{"' in base64url. What does is never taken for a key.
_TOKEN = re.compile(r"eyJ[^.]*\.[^.]*\.[^.]*")
# API Gateway accepts 10,240 bytes of headers in all.
_MAX_TOKEN_CHARACTERS = 8_192
_OWNER_DIGITS = 16


def owner_of_key(api_key: str) -> str:
    """The stable, unreadable name of a program: the first 16 digits of the key's SHA-256."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:_OWNER_DIGITS]


def owner_of_person(subject: str) -> str:
    """The name of a person. A key's owner has no colon, so that the two can't meet."""
    return f"user:{subject}"


@dataclass(frozen=True)
class Caller:
    """A caller who is known.

    Attributes:
        owner: Whose jobs they see.
        usage_key: The API key whose usage plan counts the call.
    """

    owner: str
    usage_key: str = field(repr=False)


@dataclass(frozen=True)
class CallerService:
    """Names callers.

    Attributes:
        tokens: Checks access tokens.
        people_key: The API key that all people's calls are counted on.
    """

    tokens: TokenVerifier
    people_key: str

    def identify(self, api_key: str, authorization: str) -> Caller:
        """Name the caller. Whether a key exists and has quota left is not checked here.

        Args:
            api_key: Value of the header x-api-key, or "". It comes before a bearer.
            authorization: Value of the header Authorization, or "".

        Raises:
            UnauthorizedError: No key and no token, or something that can't be one.
            InvalidTokenError: A token that must not be trusted.
            TokenKeysUnavailableError: A token that can't be checked at the moment.
        """
        presented = api_key or _bearer(authorization)
        if not api_key and _TOKEN.fullmatch(presented):
            return self._person(presented)
        # What counts people's calls opens nothing: who sends it is nobody.
        if not _KEY.fullmatch(presented) or presented == self.people_key:
            raise UnauthorizedError
        return Caller(owner=owner_of_key(presented), usage_key=presented)

    def _person(self, token: str) -> Caller:
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise UnauthorizedError
        subject = self.tokens.subject(token)
        return Caller(owner=owner_of_person(subject), usage_key=self.people_key)


def _bearer(authorization: str) -> str:
    match = _BEARER.fullmatch(authorization.strip())
    return match.group(1) if match else ""

"""Access tokens of one client of one Cognito user pool.

Source: Amazon Cognito developer guide, "Verifying JSON web tokens"; RFC 8725.
"""

import re
from dataclasses import dataclass

import jwt

from lambdas.domain.errors import InvalidTokenError

from .json_web_keys import ALGORITHM, JsonWebKeys

__all__ = ["CognitoTokens"]

# Between Cognito's clock and ours.
_LEEWAY_SECONDS = 30
_REQUIRED = ["client_id", "exp", "iat", "iss", "sub", "token_use"]
_USE = "access"
_SUBJECT = re.compile(r"[0-9A-Za-z-]{1,128}")


@dataclass(frozen=True)
class CognitoTokens:
    """Implements `TokenVerifier`.

    Attributes:
        issuer: Such as https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI.
        client_id: The client whose tokens count.
        keys: The pool's public keys.
    """

    issuer: str
    client_id: str
    keys: JsonWebKeys

    def subject(self, token: str) -> str:
        """Whom an access token was issued to.

        Raises:
            InvalidTokenError: It is not one of ours, or not of use any more.
            TokenKeysUnavailableError: It can't be checked at the moment.
        """
        try:
            header = jwt.get_unverified_header(token)
            # Looked at before a key is sought: the token must not choose how it is checked.
            if header.get("alg") != ALGORITHM:
                raise InvalidTokenError(f"Tokens are signed with {ALGORITHM}.")
            key = self.keys.find(str(header.get("kid", "")))
            if key is None:
                raise InvalidTokenError("The token is signed with a key that the pool lacks.")
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=self.issuer,
                leeway=_LEEWAY_SECONDS,
                # Cognito's access tokens name their client in `client_id`, and no audience.
                options={"require": _REQUIRED, "verify_aud": False},
            )
        except jwt.PyJWTError as error:
            raise InvalidTokenError(f"The token is refused: {error}.") from error
        if claims["token_use"] != _USE:
            raise InvalidTokenError("Only access tokens are accepted, not ID tokens.")
        if claims["client_id"] != self.client_id:
            raise InvalidTokenError("The token was issued to another client.")
        subject = claims["sub"]
        if not _SUBJECT.fullmatch(subject):
            raise InvalidTokenError("The token's subject is no user's id.")
        return str(subject)

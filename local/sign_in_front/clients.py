"""Clients of the deployed user pools, and what they may ask for."""

from dataclasses import dataclass
from typing import Any

__all__ = ["OAuthClient", "SignInError", "find_client"]


class SignInError(Exception):
    """A request that is refused; `code` is one of RFC 6749, section 5.2."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


@dataclass(frozen=True)
class OAuthClient:
    """A client of one pool."""

    client_id: str
    pool_id: str
    callback_urls: tuple[str, ...]
    logout_urls: tuple[str, ...]
    flows: tuple[str, ...]
    scopes: tuple[str, ...]


def find_client(cognito: Any, client_id: str) -> OAuthClient:
    """The client of that id.

    Args:
        cognito: boto3 client of Cognito.
        client_id: As the page names itself.

    Raises:
        SignInError: No pool has it.
    """
    for pool in cognito.list_user_pools(MaxResults=60)["UserPools"]:
        clients = cognito.list_user_pool_clients(UserPoolId=pool["Id"], MaxResults=60)
        if any(client["ClientId"] == client_id for client in clients["UserPoolClients"]):
            found = cognito.describe_user_pool_client(UserPoolId=pool["Id"], ClientId=client_id)
            properties = found["UserPoolClient"]
            return OAuthClient(
                client_id=client_id,
                pool_id=pool["Id"],
                callback_urls=tuple(properties.get("CallbackURLs", ())),
                logout_urls=tuple(properties.get("LogoutURLs", ())),
                flows=tuple(properties.get("AllowedOAuthFlows", ())),
                scopes=tuple(properties.get("AllowedOAuthScopes", ())),
            )
    raise SignInError("invalid_client", f"No user pool has the client {client_id!r}.")

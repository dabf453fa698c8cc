"""A person of the deployed user pool, who signs in by authorization code with PKCE."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from local.deploy import Deployment

__all__ = ["PASSWORD", "Person", "invite", "sign_in"]

PASSWORD = "Correct-horse-battery-9"


@dataclass(frozen=True)
class Person:
    """Somebody who has signed in."""

    email: str
    subject: str
    tokens: dict[str, Any] = field(repr=False)

    @property
    def access_token(self) -> str:
        return str(self.tokens["access_token"])


def invite(cognito: Any, deployment: Deployment, email: str) -> str:
    """Make an account as an operator does; the person's subject."""
    made = cognito.admin_create_user(
        UserPoolId=deployment.user_pool_id,
        Username=email,
        UserAttributes=[{"Name": "email", "Value": email}],
        MessageAction="SUPPRESS",
    )
    cognito.admin_set_user_password(
        UserPoolId=deployment.user_pool_id, Username=email, Password=PASSWORD, Permanent=True
    )
    attributes = {item["Name"]: item["Value"] for item in made["User"]["Attributes"]}
    return str(attributes["sub"])


def sign_in(sign_in_url: str, deployment: Deployment, email: str, subject: str) -> Person:
    """Go through the sign-in pages as a browser does."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    page = {"client_id": deployment.client_id, "redirect_uri": deployment.console_url}
    query = {
        **page,
        "response_type": "code",
        "scope": "openid email",
        "state": "s",
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    with httpx.Client(base_url=sign_in_url, trust_env=False, timeout=30) as browser:
        assert browser.get("/oauth2/authorize", params=query).status_code == 200
        answer = browser.post(
            "/oauth2/authorize", params=query, data={"username": email, "password": PASSWORD}
        )
        assert answer.status_code == 302, answer.text
        back = parse_qs(urlsplit(answer.headers["location"]).query)
        assert back["state"] == ["s"]
        exchange = {
            **page,
            "grant_type": "authorization_code",
            "code": back["code"][0],
            "code_verifier": verifier,
        }
        tokens = browser.post("/oauth2/token", data=exchange)
        assert tokens.status_code == 200, tokens.text
    return Person(email, subject, tokens.json())

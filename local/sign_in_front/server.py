"""`/oauth2/authorize`, `/oauth2/token` and `/logout` over moto's user pools.

People, passwords and tokens are moto's; this adds the pages and the authorization code in front.
Only what the console needs is here: no sign-up, no second factor, no change of passwords.

Source: Amazon Cognito developer guide, "Managed login and federation endpoint reference".
"""

import html
import json
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError
from werkzeug.wrappers import Request, Response

from local.clients import local_client

from .clients import OAuthClient, SignInError, find_client
from .codes import Codes, Grant

__all__ = ["create_sign_in_app"]

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Sign in (local cloud)</title>
<h1>Sign in</h1><p role="alert" id="error">{error}</p>
<form method="post"><p><label>E-mail <input name="username" type="email" required></label></p>
<p><label>Password <input name="password" type="password" required></label></p>
<p><button id="sign-in">Sign in</button></p></form></html>
"""


def create_sign_in_app(aws_url: str) -> Any:
    """The WSGI application.

    Args:
        aws_url: Endpoint of the AWS API.
    """
    pages = _SignIn(local_client("cognito-idp", aws_url))

    @Request.application
    def application(request: Request) -> Response:
        return pages.answer(request)

    return application


class _SignIn:
    def __init__(self, cognito: Any) -> None:
        self._cognito = cognito
        self._codes = Codes()

    def answer(self, request: Request) -> Response:
        try:
            if request.path == "/oauth2/authorize" and request.method in {"GET", "POST"}:
                return self._authorize(request)
            if request.path == "/oauth2/token" and request.method == "POST":
                return self._token(request)
            if request.path == "/logout" and request.method == "GET":
                return self._log_out(request)
        except SignInError as error:
            return _json({"error": error.code, "error_description": str(error)}, 400)
        return Response(status=404)

    def _authorize(self, request: Request) -> Response:
        query = request.args
        client = find_client(self._cognito, query.get("client_id", ""))
        redirect_uri, challenge = query.get("redirect_uri", ""), query.get("code_challenge", "")
        # Before the page's address is known to be the client's, nobody is sent there.
        if redirect_uri not in client.callback_urls:
            raise SignInError("redirect_mismatch", "The client has no such callback URL.")
        _check_flow(client, query.get("response_type", ""), query.get("scope", ""))
        if query.get("code_challenge_method") != "S256" or not challenge:
            raise SignInError("invalid_request", "A code_challenge by S256 is needed.")
        if request.method == "GET":
            return _page("")
        try:
            tokens = self._sign_in(client, request.form)
        except SignInError as error:
            return _page(str(error))
        code = self._codes.give(Grant(client.client_id, redirect_uri, challenge, tokens))
        answer = urlencode({"code": code, "state": query.get("state", "")})
        return Response(status=302, headers={"Location": f"{redirect_uri}?{answer}"})

    def _sign_in(self, client: OAuthClient, form: Any) -> dict[str, Any]:
        try:
            answer = self._cognito.admin_initiate_auth(
                UserPoolId=client.pool_id,
                ClientId=client.client_id,
                AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                AuthParameters={
                    "USERNAME": form.get("username", ""),
                    "PASSWORD": form.get("password", ""),
                },
            )
        except ClientError as error:
            raise SignInError("access_denied", "Incorrect username or password.") from error
        if "AuthenticationResult" not in answer:
            raise SignInError(
                "access_denied",
                f"The local cloud has no page for {answer.get('ChallengeName')}. Set a lasting "
                "password with 'aws cognito-idp admin-set-user-password --permanent'.",
            )
        return dict(answer["AuthenticationResult"])

    def _token(self, request: Request) -> Response:
        form = request.form
        client = find_client(self._cognito, form.get("client_id", ""))
        kind = form.get("grant_type")
        if kind == "authorization_code":
            grant = self._codes.redeem(
                form.get("code", ""),
                client_id=client.client_id,
                redirect_uri=form.get("redirect_uri", ""),
                verifier=form.get("code_verifier", ""),
            )
            return _tokens(grant.tokens)
        if kind != "refresh_token":
            raise SignInError("unsupported_grant_type", f"No grant type {kind!r}.")
        try:
            answer = self._cognito.initiate_auth(
                ClientId=client.client_id,
                AuthFlow="REFRESH_TOKEN_AUTH",
                AuthParameters={"REFRESH_TOKEN": form.get("refresh_token", "")},
            )
        except ClientError as error:
            raise SignInError("invalid_grant", "The refresh token is of no use.") from error
        return _tokens(answer["AuthenticationResult"])

    def _log_out(self, request: Request) -> Response:
        client = find_client(self._cognito, request.args.get("client_id", ""))
        url = request.args.get("logout_uri", "")
        if url not in client.logout_urls:
            raise SignInError("redirect_mismatch", "The client has no such logout URL.")
        return Response(status=302, headers={"Location": url})


def _check_flow(client: OAuthClient, response_type: str, scope: str) -> None:
    if response_type != "code" or "code" not in client.flows:
        raise SignInError("unauthorized_client", "The client may not ask for this.")
    if unknown := set(scope.split()) - set(client.scopes):
        raise SignInError("invalid_scope", f"The client has no scope {sorted(unknown)}.")


def _page(error: str) -> Response:
    return Response(
        _PAGE.format(error=html.escape(error)),
        status=403 if error else 200,
        content_type="text/html; charset=utf-8",
    )


def _tokens(result: dict[str, Any]) -> Response:
    names = {
        "AccessToken": "access_token",
        "IdToken": "id_token",
        "RefreshToken": "refresh_token",
        "ExpiresIn": "expires_in",
    }
    body = {names[name]: value for name, value in result.items() if name in names}
    return _json({**body, "token_type": "Bearer"})


def _json(body: dict[str, Any], status: int = 200) -> Response:
    # As Cognito: any page may read the answer, since what it sends in proves who it is.
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
    return Response(
        json.dumps(body), status=status, content_type="application/json", headers=headers
    )

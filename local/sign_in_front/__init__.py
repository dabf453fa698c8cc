"""The sign-in pages of the deployed user pool, as Cognito would serve them."""

from .server import create_sign_in_app

__all__ = ["create_sign_in_app"]

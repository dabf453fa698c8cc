"""Serves the deployed REST API as API Gateway would."""

from .server import ApiFront

__all__ = ["ApiFront"]

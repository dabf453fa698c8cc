"""The OpenAPI document, made from the contracts; `python -m lambdas.openapi` writes it.

It never runs in a Lambda.
"""

from .document import build_document

__all__ = ["build_document"]

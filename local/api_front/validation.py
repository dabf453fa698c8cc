"""Request validators: required parameters and JSON schemas of bodies."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from jsonschema import Draft4Validator  # type: ignore[import-untyped]
from werkzeug.datastructures import Headers

from .model import Method
from .refusals import Refusal

__all__ = ["validate"]


def validate(
    method: Method,
    *,
    headers: Headers,
    query: Mapping[str, str],
    path: Mapping[str, str],
    body: bytes,
) -> None:
    """Check a request before its integration runs.

    Raises:
        Refusal: A required parameter is missing, or the body does not fit its model.
    """
    if method.validates_parameters:
        sources: dict[str, Callable[[str], Any]] = {
            "header": headers.get,
            "querystring": query.get,
            "path": path.get,
        }
        missing = []
        for parameter in method.required_parameters:
            _, _, kind, name = parameter.split(".", 3)
            if not sources[kind](name):
                missing.append(name)
        if missing:
            raise Refusal(
                "BAD_REQUEST_PARAMETERS",
                f"Missing required request parameters: [{', '.join(missing)}]",
            )
    if method.validates_body and method.body_schemas:
        _validate_body(method, headers.get("Content-Type", "application/json"), body)


def _validate_body(method: Method, content_type: str, body: bytes) -> None:
    media_type = content_type.split(";", maxsplit=1)[0].strip().lower()
    schema = method.body_schemas.get(media_type)
    if schema is None:  # API Gateway validates the content types that have a model
        return
    try:
        document = json.loads(body)
    except ValueError as error:
        raise Refusal("BAD_REQUEST_BODY", validation=f"[{error}]") from error
    errors = [error.message for error in Draft4Validator(schema).iter_errors(document)]
    if errors:
        raise Refusal("BAD_REQUEST_BODY", validation=f"[{', '.join(errors)}]")

"""API Gateway's proxy events and answers, typed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lambdas.domain.errors import (
    InvalidRequestError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
)
from lambdas.domain.validation import field_errors
from nvfp4_ddim_contracts import FieldError

__all__ = ["ApiRequest", "ApiResponse", "ProxyEvent"]

ModelT = TypeVar("ModelT", bound=BaseModel)

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_OPERATION_PATH = re.compile(r"/(?:jobs|images/generations|models)(?:/[^/]*)?(?:/events)?/?$")
_JSON_MEDIA_TYPE = re.compile(r"application/(?:[\w.+-]+\+)?json", re.IGNORECASE)


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class _Authorizer(_Part):
    owner: str | None = None


class _RequestContext(_Part):
    request_id: str = Field("", alias="requestId")
    path: str | None = None
    authorizer: _Authorizer | None = None


class ProxyEvent(_Part):
    """The parts of a REST API's proxy event that this service reads.

    Source: API Gateway developer guide, "Lambda proxy integrations in API Gateway", input format.
    """

    path: str
    headers: dict[str, str] | None = None
    query: dict[str, str] | None = Field(None, alias="queryStringParameters")
    path_parameters: dict[str, str] | None = Field(None, alias="pathParameters")
    body: str | None = None
    is_base64_encoded: bool = Field(False, alias="isBase64Encoded")
    context: _RequestContext = Field(alias="requestContext")


@dataclass(frozen=True)
class ApiRequest:
    """One request; `seconds_left` is how long the function may still run."""

    event: ProxyEvent
    seconds_left: float

    @property
    def owner(self) -> str:
        """The caller, as the authorizer named them.

        Raises:
            UnauthorizedError: The authorizer was not asked.
        """
        authorizer = self.event.context.authorizer
        if authorizer is None or not authorizer.owner:
            raise UnauthorizedError
        return authorizer.owner

    @property
    def idempotency_key(self) -> str | None:
        """The header Idempotency-Key, or None.

        Raises:
            InvalidRequestError: It is not 1 to 255 visible ASCII characters.
        """
        key = self.header("idempotency-key")
        if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
            message = "Send 1 to 255 visible ASCII characters, such as a UUID."
            raise InvalidRequestError(
                f"The header Idempotency-Key can't be used. {message}",
                (FieldError(field="Idempotency-Key", message=message),),
            )
        return key

    def header(self, name: str) -> str | None:
        """A header's value, by its name in any case."""
        return self._headers.get(name.lower())

    def path_parameter(self, name: str) -> str:
        """A parameter of the route."""
        return (self.event.path_parameters or {}).get(name, "")

    def body(self, model: type[ModelT]) -> ModelT:
        """The body as a model.

        Raises:
            UnsupportedMediaTypeError: It is declared to be something else than JSON.
            InvalidRequestError: It does not fit the model.
        """
        media_type = self.header("content-type") or "application/json"
        if not _JSON_MEDIA_TYPE.match(media_type) or self.event.is_base64_encoded:
            raise UnsupportedMediaTypeError(media_type)
        try:
            return model.model_validate_json(self.event.body or "{}")
        except ValidationError as error:
            raise InvalidRequestError(
                "The request's body is not valid.", field_errors(error)
            ) from error

    def query(self, model: type[ModelT]) -> ModelT:
        """The query string's parameters as a model.

        Raises:
            InvalidRequestError: They don't fit the model.
        """
        try:
            return model.model_validate(self.event.query or {})
        except ValidationError as error:
            raise InvalidRequestError(
                "The query string is not valid.", field_errors(error)
            ) from error

    def job_path(self, job_id: str) -> str:
        """The path of a job's resource, with the API's stage, for the header Location."""
        full_path = self.event.context.path or self.event.path
        return f"{_OPERATION_PATH.sub('', full_path)}/jobs/{job_id}"

    @cached_property
    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in (self.event.headers or {}).items()}


@dataclass(frozen=True)
class ApiResponse:
    """One answer, before the headers that every answer gets."""

    status: int
    body: BaseModel
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    omit_null: bool = False

    def to_proxy(self, common_headers: Mapping[str, str]) -> dict[str, Any]:
        """The proxy integration's output format."""
        return {
            "statusCode": self.status,
            "headers": {"Content-Type": self.media_type, **common_headers, **self.headers},
            "body": self.body.model_dump_json(exclude_none=self.omit_null),
            "isBase64Encoded": False,
        }

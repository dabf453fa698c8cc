"""Errors on the wire: `application/problem+json`, RFC 9457."""

from enum import StrEnum

from pydantic import Field

from ._base import Contract

__all__ = ["PROBLEM_MEDIA_TYPE", "FieldError", "Problem", "ProblemType"]

PROBLEM_MEDIA_TYPE = "application/problem+json"


class ProblemType(StrEnum):
    """The kinds of problem, stable names a program may switch on."""

    INVALID_REQUEST = "urn:nvfp4-ddim:problem:invalid-request"
    UNAUTHORIZED = "urn:nvfp4-ddim:problem:unauthorized"
    NOT_FOUND = "urn:nvfp4-ddim:problem:not-found"
    NOT_ACCEPTABLE = "urn:nvfp4-ddim:problem:not-acceptable"
    PAYLOAD_TOO_LARGE = "urn:nvfp4-ddim:problem:payload-too-large"
    UNSUPPORTED_MEDIA_TYPE = "urn:nvfp4-ddim:problem:unsupported-media-type"
    CONFLICT = "urn:nvfp4-ddim:problem:conflict"
    IDEMPOTENCY_MISMATCH = "urn:nvfp4-ddim:problem:idempotency-mismatch"
    OVERLOADED = "urn:nvfp4-ddim:problem:overloaded"
    NOT_READY = "urn:nvfp4-ddim:problem:not-ready"
    STOPPED = "urn:nvfp4-ddim:problem:stopped"
    CANCELLED = "urn:nvfp4-ddim:problem:cancelled"
    MODEL_UNUSABLE = "urn:nvfp4-ddim:problem:model-unusable"
    PRECISION_UNAVAILABLE = "urn:nvfp4-ddim:problem:precision-unavailable"
    TIMED_OUT = "urn:nvfp4-ddim:problem:timed-out"
    INFERENCE_FAILED = "urn:nvfp4-ddim:problem:inference-failed"
    INTERNAL = "urn:nvfp4-ddim:problem:internal"


class FieldError(Contract):
    """What was wrong with one field of the request."""

    field: str = Field(description="Path to the field, such as 'num_inference_steps'.")
    message: str


class Problem(Contract):
    """What went wrong and what to do about it."""

    type: ProblemType
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    errors: tuple[FieldError, ...] = ()
    instance: str | None = Field(None, description="The request or job this is about.")

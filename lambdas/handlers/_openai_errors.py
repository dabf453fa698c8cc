"""Problems in the shape of OpenAI's API, for the route that speaks it.

Source: OpenAI API reference, "Error codes": `{"error": {"message", "type", "param", "code"}}`.
"""

from http import HTTPStatus

from pydantic import BaseModel

from nvfp4_ddim_contracts import Problem

from ._proxy import ApiResponse

__all__ = ["OpenAIError", "OpenAIErrorBody", "render_openai_error"]


class OpenAIError(BaseModel):
    """What OpenAI's clients look at."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAIErrorBody(BaseModel):
    """The body of an error."""

    error: OpenAIError


def render_openai_error(problem: Problem) -> ApiResponse:
    """A problem as OpenAI's clients expect it."""
    fields = " ".join(f"{wrong.field}: {wrong.message}" for wrong in problem.errors)
    return ApiResponse(
        problem.status,
        OpenAIErrorBody(
            error=OpenAIError(
                message=f"{problem.detail} {fields}".strip(),
                type=_type_of(problem.status),
                param=problem.errors[0].field if problem.errors else None,
                code=problem.type.rpartition(":")[2].replace("-", "_"),
            )
        ),
    )


def _type_of(status: int) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return "authentication_error"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "server_error"
    return "invalid_request_error"

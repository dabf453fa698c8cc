"""What API Gateway itself answers: the same problem+json, with the same CORS headers, as we do."""

import json
from dataclasses import dataclass

from aws_cdk import aws_apigateway as apigateway

from nvfp4_ddim_contracts.problems import PROBLEM_MEDIA_TYPE, ProblemType

__all__ = ["add_gateway_responses"]

_KEY_HINT = (
    "Programs send their API key in the header x-api-key or as 'Authorization: Bearer <key>', "
    "people the access token of their sign-in as 'Authorization: Bearer <token>'."
)
_RETRY = "The request was not processed. Try it again."


@dataclass(frozen=True)
class _Answer:
    response: str
    status: int
    kind: ProblemType
    title: str
    detail: str
    retry_after_seconds: int | None = None


_ANSWERS = (
    _Answer("UNAUTHORIZED", 401, ProblemType.UNAUTHORIZED, "Caller not known", _KEY_HINT),
    _Answer("INVALID_API_KEY", 401, ProblemType.UNAUTHORIZED, "Unknown API key", _KEY_HINT),
    _Answer("ACCESS_DENIED", 403, ProblemType.UNAUTHORIZED, "Access denied", _KEY_HINT),
    _Answer(
        "BAD_REQUEST_BODY",
        400,
        ProblemType.INVALID_REQUEST,
        "Request not understood",
        "The body has to be a JSON object with the fields that the API's OpenAPI document asks "
        "for (a job's is a text 'prompt'), each of the type that it gives.",
    ),
    _Answer(
        "BAD_REQUEST_PARAMETERS",
        400,
        ProblemType.INVALID_REQUEST,
        "Request not understood",
        "A parameter of the path, the query or the headers is missing.",
    ),
    _Answer(
        "RESOURCE_NOT_FOUND",
        404,
        ProblemType.NOT_FOUND,
        "No such operation",
        "The API has no such path.",
    ),
    # API Gateway's word for a path or method that does not exist.
    _Answer(
        "MISSING_AUTHENTICATION_TOKEN",
        404,
        ProblemType.NOT_FOUND,
        "No such operation",
        "The API has no such path, or the path has no such method.",
    ),
    _Answer(
        "REQUEST_TOO_LARGE",
        413,
        ProblemType.PAYLOAD_TOO_LARGE,
        "Request too large",
        "A request may have 64 KiB at most.",
    ),
    _Answer(
        "WAF_FILTERED",
        403,
        ProblemType.UNAUTHORIZED,
        "Refused by the firewall",
        "The request is larger than 64 KiB, or looks like an attack, or too many came from this "
        "address in the last five minutes.",
        retry_after_seconds=300,
    ),
    _Answer(
        "UNSUPPORTED_MEDIA_TYPE",
        415,
        ProblemType.UNSUPPORTED_MEDIA_TYPE,
        "Unsupported media type",
        "Send the body as application/json.",
    ),
    _Answer(
        "THROTTLED",
        429,
        ProblemType.OVERLOADED,
        "Too many requests",
        "Wait a second, then try again, ever more slowly.",
        retry_after_seconds=1,
    ),
    _Answer(
        "QUOTA_EXCEEDED",
        429,
        ProblemType.OVERLOADED,
        "Quota used up",
        "The requests of the month are used up. Ask the operator for more.",
        # A month's end is nothing that API Gateway could name; who polls should do so rarely.
        retry_after_seconds=3_600,
    ),
    _Answer("INTEGRATION_TIMEOUT", 504, ProblemType.TIMED_OUT, "The service took too long", _RETRY),
    _Answer("INTEGRATION_FAILURE", 502, ProblemType.INTERNAL, "The service failed", _RETRY),
    _Answer(
        "DEFAULT_4XX",
        400,
        ProblemType.INVALID_REQUEST,
        "Request refused",
        "The request can't be processed as it is.",
    ),
    _Answer("DEFAULT_5XX", 500, ProblemType.INTERNAL, "The service failed", _RETRY),
)


def add_gateway_responses(
    api: apigateway.RestApi, *, allowed_origin: str, exposed_headers: tuple[str, ...]
) -> None:
    """Give every answer that API Gateway makes on its own the form of ours.

    Args:
        api: The API.
        allowed_origin: Whose pages may read the answers.
        exposed_headers: Headers that those pages may read.
    """
    cors = {
        "Access-Control-Allow-Origin": f"'{allowed_origin}'",
        "Access-Control-Expose-Headers": f"'{','.join(exposed_headers)}'",
        "Content-Type": f"'{PROBLEM_MEDIA_TYPE}'",
    }
    for answer in _ANSWERS:
        challenge = {"WWW-Authenticate": "'Bearer'"} if answer.status == 401 else {}
        later = answer.retry_after_seconds
        retry = {"Retry-After": f"'{later}'"} if later else {}
        api.add_gateway_response(
            f"Response{answer.response.title().replace('_', '')}",
            type=apigateway.ResponseType.of(answer.response),
            status_code=str(answer.status),
            response_headers={**cors, **challenge, **retry},
            # The key is only which template to take: the header above says what the body is.
            templates={"application/json": _body(answer)},
        )


def _body(answer: _Answer) -> str:
    # API Gateway replaces $context.requestId in this text; it does nothing cleverer.
    return json.dumps(
        {
            "type": answer.kind,
            "title": answer.title,
            "status": answer.status,
            "detail": answer.detail,
            "errors": [],
            "instance": "$context.requestId",
        }
    )

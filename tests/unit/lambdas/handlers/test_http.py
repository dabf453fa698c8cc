import json
from typing import Any

import pytest

from lambdas.domain import errors
from lambdas.handlers._http import common_headers, respond
from lambdas.handlers._openai_errors import render_openai_error
from lambdas.handlers._problems import problem_of, render_problem
from lambdas.handlers._proxy import ApiRequest, ApiResponse, ProxyEvent
from nvfp4_ddim_contracts import JobState, Problem, ProblemType
from nvfp4_ddim_contracts.models import ModelList

JOB_ID = "0" * 32


def _request(path: str = "/v1/jobs", full_path: str | None = None) -> ApiRequest:
    event = {"path": path, "requestContext": {"requestId": "r1", "path": full_path}}
    return ApiRequest(ProxyEvent.model_validate(event), 10)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.InvalidRequestError("d"), 400, ProblemType.INVALID_REQUEST),
        (errors.UnknownModelError("m", ()), 400, ProblemType.INVALID_REQUEST),
        (errors.InvalidCursorError(), 400, ProblemType.INVALID_REQUEST),
        (errors.UnauthorizedError(), 401, ProblemType.UNAUTHORIZED),
        (errors.UnsupportedMediaTypeError("text/plain"), 415, ProblemType.UNSUPPORTED_MEDIA_TYPE),
        (errors.JobNotFoundError(JOB_ID), 404, ProblemType.NOT_FOUND),
        (errors.UploadNotFoundError(), 404, ProblemType.NOT_FOUND),
        (errors.JobEndedError(JOB_ID, JobState.FAILED), 409, ProblemType.CONFLICT),
        (errors.IdempotencyMismatchError(), 422, ProblemType.IDEMPOTENCY_MISMATCH),
        (errors.JobPendingError(JOB_ID), 503, ProblemType.NOT_READY),
        (errors.AnswerTooLargeError(JOB_ID), 413, ProblemType.PAYLOAD_TOO_LARGE),
        (
            errors.GenerationFailedError(JOB_ID, JobState.CANCELLED, None),
            409,
            ProblemType.CANCELLED,
        ),
        (errors.GenerationFailedError(JOB_ID, JobState.EXPIRED, None), 504, ProblemType.TIMED_OUT),
        (
            errors.GenerationFailedError(JOB_ID, JobState.FAILED, None),
            502,
            ProblemType.INFERENCE_FAILED,
        ),
        (errors.ObjectNotFoundError("secret-key"), 500, ProblemType.INTERNAL),
        (ValueError("secret"), 500, ProblemType.INTERNAL),
    ],
)
def test_every_error_has_its_problem(error: Exception, status: int, kind: ProblemType) -> None:
    problem = problem_of(error, "r1")
    assert (problem.status, problem.type) == (status, kind)
    assert problem.instance in {"r1", JOB_ID}
    assert "secret" not in problem.model_dump_json()


def test_a_failed_job_speaks_in_its_containers_words() -> None:
    told = Problem(type=ProblemType.INVALID_REQUEST, title="t", status=400, detail="too wide")
    error = errors.GenerationFailedError(JOB_ID, JobState.FAILED, told)
    assert problem_of(error, "r1") == told


def _raise(error: Exception) -> Any:
    def operation(_request: ApiRequest, _service: None) -> ApiResponse:
        raise error

    return operation


def test_a_pending_picture_must_not_be_asked_for_twice() -> None:
    request = _request("/v1/images/generations", "/prod/v1/images/generations")
    response = respond(_raise(errors.JobPendingError(JOB_ID)), None, request, render_openai_error)
    assert response.status == 503
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["Location"] == f"/prod/v1/jobs/{JOB_ID}"
    body = json.loads(response.to_proxy({})["body"])
    assert body["error"]["code"] == "not_ready"


def test_unexpected_errors_say_nothing_but_the_request() -> None:
    response = respond(_raise(RuntimeError("password=1")), None, _request(), render_problem)
    proxied = response.to_proxy(common_headers("*", "r1"))
    assert proxied["statusCode"] == 500
    assert proxied["headers"]["Content-Type"] == "application/problem+json"
    assert "password" not in proxied["body"]
    assert "r1" in proxied["body"]


@pytest.mark.parametrize(
    ("path", "full_path", "expected"),
    [
        ("/v1/jobs", "/prod/v1/jobs", "/prod/v1/jobs/"),
        ("/v1/jobs", None, "/v1/jobs/"),
        ("/v1/images/generations", "/dev/v1/images/generations", "/dev/v1/jobs/"),
        ("/v1/jobs/x", "/dev/v1/jobs/x", "/dev/v1/jobs/"),
        ("/jobs", "/v1/jobs", "/v1/jobs/"),
    ],
)
def test_locations_keep_the_stage(path: str, full_path: str | None, expected: str) -> None:
    assert _request(path, full_path).job_path(JOB_ID) == expected + JOB_ID


def test_every_answer_carries_the_same_headers() -> None:
    response = ApiResponse(200, ModelList(data=()), {"Location": "x"})
    headers = response.to_proxy(common_headers("https://console", "r1"))["headers"]
    assert headers["Access-Control-Allow-Origin"] == "https://console"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Request-Id"] == "r1"
    assert headers["Location"] == "x"

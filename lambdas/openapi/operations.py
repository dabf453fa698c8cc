"""The operations of the document."""

from typing import Any

from pydantic import BaseModel

from lambdas.domain.jobs import MAX_WAIT_SECONDS
from lambdas.handlers._openai_errors import OpenAIErrorBody
from lambdas.handlers.list_jobs import ListJobsQuery
from nvfp4_ddim_contracts import Job, JobPage, Problem, Upload, UploadRequest
from nvfp4_ddim_contracts.images import ImagesRequest, ImagesResponse
from nvfp4_ddim_contracts.keys import JOB_ID_PATTERN
from nvfp4_ddim_contracts.models import ModelList
from nvfp4_ddim_contracts.problems import PROBLEM_MEDIA_TYPE
from nvfp4_ddim_contracts.task_list import TaskList
from nvfp4_ddim_contracts.webhooks import (
    WEBHOOK_ID_HEADER,
    WEBHOOK_SIGNATURE_HEADER,
    WEBHOOK_TIMESTAMP_HEADER,
    JobEvent,
    JobRequest,
    WebhookSecret,
)

from . import examples
from .event_streams import stream_job_events
from .schemas import reference

__all__ = ["paths", "shared_headers", "webhooks"]

_JSON = "application/json"
_PROBLEMS = {
    400: "A field is missing, unknown or out of range; `errors` names it.",
    401: "Neither an API key nor an access token was sent, or it is not known.",
    403: "The caller may not do this, or the firewall refused the request.",
    404: "The caller has no such job or upload.",
    409: "The job has ended in another way.",
    413: "The body, or the answer, is too large.",
    415: "The body is not JSON.",
    422: "The Idempotency-Key was used with another request.",
    429: "The quota or the rate is used up, or the caller has too many event streams open: wait as "
    "long as `Retry-After` says.",
    500: "Something went wrong on the service's side.",
    502: "The container could not make the picture.",
    503: "The picture is not ready yet: follow `Location`, and don't repeat the request. Without "
    "`Location`: the service accepts no new jobs; `Retry-After` says when to try again.",
    504: "The job did not end before its deadline, or API Gateway's time ran out.",
}
# API Gateway itself makes these, on every route, as problem documents.
_GATEWAY_STATUSES = (401, 403, 429, 504)
_ALWAYS = (*_GATEWAY_STATUSES, 500)

_JOB_ID_PARAMETER = {
    "name": "job_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": f"^{JOB_ID_PATTERN}$"},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The caller's own name for this request, such as a UUID. Repeated with the "
    "same body it answers with the same job and makes no second one.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": f"`wait=N` (RFC 7240): wait up to N seconds, {MAX_WAIT_SECONDS:.0f} at most, "
    "for the job's end.",
    "schema": {"type": "string"},
    "example": "wait=20",
}


def paths() -> dict[str, Any]:
    """All paths."""
    return {
        "/v1/jobs": {"get": _list_jobs(), "post": _create_job()},
        "/v1/jobs/{job_id}": {
            "parameters": [_JOB_ID_PARAMETER],
            "delete": _cancel_job(),
            "get": _get_job(),
        },
        "/v1/jobs/{job_id}/events": {
            "parameters": [_JOB_ID_PARAMETER],
            "get": stream_job_events(_problem_responses(404)),
        },
        "/v1/models": {"get": _list_models()},
        "/v1/tasks": {"get": _list_tasks()},
        "/v1/webhooks/secret": {"get": _get_webhook_secret()},
        "/v1/uploads": {"post": _create_upload()},
        "/v1/images/generations": {"post": _create_image()},
    }


def webhooks() -> dict[str, Any]:
    """Calls that the service makes, in the form of Standard Webhooks."""
    descriptions = {
        WEBHOOK_ID_HEADER: "The same for every attempt.",
        WEBHOOK_TIMESTAMP_HEADER: "Unix seconds of the attempt. Refuse old ones.",
        WEBHOOK_SIGNATURE_HEADER: "`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`.",
    }
    parameters = [
        {
            "name": name,
            "in": "header",
            "required": True,
            "description": description,
            "schema": {"type": "string"},
        }
        for name, description in descriptions.items()
    ]
    post = {
        "operationId": "jobEnded",
        "summary": "A job with a `webhook_url` has ended",
        "description": "Answer with any 2xx within seven seconds. Anything else is tried again, "
        "ten times in 13 hours; 410 ends the attempts. Redirects are not followed.",
        "tags": ["webhooks"],
        "parameters": parameters,
        "requestBody": _body(JobEvent, examples.job_event()),
        "responses": {"2XX": {"description": "Understood."}},
    }
    return {"jobEnded": {"post": post}}


def shared_headers() -> dict[str, Any]:
    """Headers of answers."""
    return {
        "Location": _header("Path of the job."),
        "RetryAfter": _header("Seconds after which the job is worth another look."),
        "PreferenceApplied": _header("The `Prefer` that was honoured, as it was honoured."),
        "IdempotentReplayed": _header("`true` if an earlier request with this key made the job."),
        "ShouldRetry": _header("`false`: OpenAI's clients must not repeat the request."),
    }


def _create_job() -> dict[str, Any]:
    headers = {
        "Location": _header_reference("Location"),
        "Preference-Applied": _header_reference("PreferenceApplied"),
    }
    return {
        "operationId": "createJob",
        "summary": "Ask for a picture, or for another task",
        "description": "`task` says which; without it the request is for a picture. Files of a "
        "task are named by the ids of uploads, or come inside the request where the body has room "
        "for them. `GET /v1/tasks` describes every task's files and parameters.",
        "tags": ["jobs"],
        "parameters": [_IDEMPOTENCY_KEY, _PREFER],
        "requestBody": _body(
            JobRequest, {"generate": examples.job_request(), **examples.task_requests()}
        ),
        "responses": {
            "200": _answer(
                "The job has ended while the caller waited, or was made before with this key.",
                Job,
                examples.succeeded_job(),
                {**headers, "Idempotent-Replayed": _header_reference("IdempotentReplayed")},
            ),
            "202": _answer(
                "The job is accepted.",
                Job,
                examples.queued_job(),
                {**headers, "Retry-After": _header_reference("RetryAfter")},
            ),
            **_problem_responses(400, 404, 413, 415, 422, 503),
        },
    }


def _list_jobs() -> dict[str, Any]:
    parameters = []
    for name, schema in ListJobsQuery.model_json_schema()["properties"].items():
        described = {key: value for key, value in schema.items() if key != "description"}
        if name == "state":
            described = {"$ref": "#/components/schemas/JobState"}
        elif name == "cursor":
            described = {"type": "string"}
        parameters.append(
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": schema["description"],
                "schema": described,
            }
        )
    return {
        "operationId": "listJobs",
        "summary": "The caller's jobs, newest first",
        "tags": ["jobs"],
        "parameters": parameters,
        "responses": {
            "200": _answer("A page of jobs.", JobPage, examples.job_page()),
            **_problem_responses(400),
        },
    }


def _get_job() -> dict[str, Any]:
    return {
        "operationId": "getJob",
        "summary": "State, progress and results of a job",
        "tags": ["jobs"],
        "responses": {
            "200": _answer(
                "The job.",
                Job,
                {"generate": examples.succeeded_job(), "task": examples.succeeded_task()},
                {"Retry-After": _header_reference("RetryAfter")},
            ),
            **_problem_responses(404),
        },
    }


def _cancel_job() -> dict[str, Any]:
    return {
        "operationId": "cancelJob",
        "summary": "Cancel a job",
        "description": "Cancelling a cancelled job again is no error.",
        "tags": ["jobs"],
        "responses": {
            "200": _answer(
                "The cancelled job.", Job, {**examples.queued_job(), "state": "cancelled"}
            ),
            **_problem_responses(404, 409),
        },
    }


def _list_models() -> dict[str, Any]:
    return {
        "operationId": "listModels",
        "summary": "The models being served",
        "tags": ["models"],
        "responses": {
            "200": _answer("All models.", ModelList, examples.model_list()),
            **_problem_responses(),
        },
    }


def _list_tasks() -> dict[str, Any]:
    return {
        "operationId": "listTasks",
        "summary": "The tasks beside text to image: their files, parameters and reports",
        "tags": ["models"],
        "responses": {
            "200": _answer("All tasks.", TaskList, examples.task_list()),
            **_problem_responses(),
        },
    }


def _get_webhook_secret() -> dict[str, Any]:
    return {
        "operationId": "getWebhookSecret",
        "summary": "What the caller's webhook calls are signed with",
        "tags": ["webhooks"],
        "responses": {
            "200": _answer("The secret.", WebhookSecret, examples.webhook_secret()),
            **_problem_responses(),
        },
    }


def _create_upload() -> dict[str, Any]:
    return {
        "operationId": "createUpload",
        "summary": "A place for a file of the caller's",
        "description": "POST the answer's `fields`, and after them the file as `file`, to its "
        "`url` as multipart/form-data. S3 refuses any other size or type. The file is deleted "
        "after a day.",
        "tags": ["uploads"],
        "requestBody": _body(UploadRequest, examples.upload_request()),
        "responses": {
            "201": _answer("The place.", Upload, examples.upload()),
            **_problem_responses(400, 413, 415, 503),
        },
    }


def _create_image() -> dict[str, Any]:
    errors = {
        str(status): {
            "description": _PROBLEMS[status],
            "content": {_JSON: {"schema": reference(OpenAIErrorBody)}},
        }
        for status in (400, 409, 413, 415, 422, 500, 502, 503)
    }
    errors["503"]["headers"] = {
        "Location": _header_reference("Location"),
        "Retry-After": _header_reference("RetryAfter"),
        "x-should-retry": _header_reference("ShouldRetry"),
    }
    for status in ("400", "504"):
        # API Gateway refuses bodies of the wrong shape before the function sees them; a job that
        # expired is the function's own 504.
        errors[status] = _either(int(status))
    return {
        "operationId": "createImage",
        "summary": "A picture while the caller waits, in the shape of OpenAI's Images API",
        "tags": ["images"],
        "parameters": [_IDEMPOTENCY_KEY],
        "requestBody": _body(ImagesRequest, examples.images_request()),
        "responses": {
            "200": _answer(
                "The pictures.",
                ImagesResponse,
                examples.images_response(),
                {
                    "Location": _header_reference("Location"),
                    "Idempotent-Replayed": _header_reference("IdempotentReplayed"),
                },
            ),
            **dict(sorted((_problem_responses() | errors).items())),
        },
    }


def _body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {_JSON: _media(model, example)}}


def _answer(
    description: str,
    model: type[BaseModel],
    example: dict[str, Any],
    headers: dict[str, Any] | None = None,
) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": description,
        "content": {_JSON: _media(model, example)},
    }
    return answer | ({"headers": headers} if headers else {})


def _media(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """A schema with one example, or with several by their names."""
    if "generate" in example:
        named = {name: {"value": value} for name, value in example.items()}
        return {"schema": reference(model), "examples": named}
    return {"schema": reference(model), "example": example}


def _problem_responses(*statuses: int) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status in sorted({*_ALWAYS, *statuses}):
        content: dict[str, Any] = {"schema": reference(Problem)}
        if status == 400:
            content["example"] = examples.problem()
        responses[str(status)] = {
            "description": _PROBLEMS[status],
            "content": {PROBLEM_MEDIA_TYPE: content},
        }
    return responses


def _either(status: int) -> dict[str, Any]:
    return {
        "description": _PROBLEMS[status],
        "content": {
            _JSON: {"schema": reference(OpenAIErrorBody)},
            PROBLEM_MEDIA_TYPE: {"schema": reference(Problem)},
        },
    }


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _header_reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}

"""The routes of AWS IoT that moto has not, put before its own."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from werkzeug.wrappers import Request, Response

from local.errors import IotRequestError

from .job_executions import JobExecutions
from .provisioning import TemplateRegistry, register_thing

__all__ = ["with_iot"]

_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/(?P<service>[^/]+)/")
_JOBS = re.compile(r"/things/(?P<thing>[^/]+)/jobs(?:/(?P<job>[^/]+))?")
_TEMPLATE = re.compile(r"/provisioning-templates/(?P<name>[^/]+)")
WsgiApp = Callable[[dict[str, Any], Any], Any]


def with_iot(app: WsgiApp, executions: JobExecutions, templates: TemplateRegistry) -> WsgiApp:
    """Answer IoT's missing routes, and hand everything else on.

    Args:
        app: moto's application.
        executions: Behind the jobs data plane.
        templates: Deployed provisioning templates.
    """

    def application(environment: dict[str, Any], start_response: Any) -> Any:
        answer = _route(Request(environment, populate_request=False), executions, templates)
        return (answer or app)(environment, start_response)

    return application


def _route(
    request: Request, executions: JobExecutions, templates: TemplateRegistry
) -> Response | None:
    scope = _SCOPE.search(request.headers.get("Authorization", ""))
    service = scope["service"] if scope else ""
    try:
        if service == "iot-jobs-data" and (match := _JOBS.fullmatch(request.path)):
            return _json(_jobs(request, executions, unquote(match["thing"]), match["job"]))
        if service in {"iot", "execute-api"}:
            if request.method == "GET" and (match := _TEMPLATE.fullmatch(request.path)):
                return _json(templates.describe(unquote(match["name"])))
            if request.method == "POST" and request.path == "/things":
                body = request.get_json()
                return _json(register_thing(body["templateBody"], body.get("parameters", {})))
    except IotRequestError as error:
        headers = {"x-amzn-ErrorType": error.code}
        return _json({"message": str(error)}, error.status, headers)
    return None


def _jobs(
    request: Request, executions: JobExecutions, thing: str, job: str | None
) -> dict[str, Any]:
    body = request.get_json(silent=True) or {}
    job = unquote(job) if job else None
    if request.method == "GET" and job is None:
        waiting = executions.pending(thing)
        return {
            name: [_summary(each) for each in waiting if each.status == status]
            for name, status in (("inProgressJobs", "IN_PROGRESS"), ("queuedJobs", "QUEUED"))
        }
    if request.method == "GET" and job is not None:
        with_document = request.args.get("includeJobDocument", "true") != "false"
        found = executions.find(thing, job)
        return {"execution": _execution(found, executions if with_document else None)}
    if request.method == "PUT" and job == "$next":
        started = executions.start_next(thing, body.get("statusDetails"))
        return {} if started is None else {"execution": _execution(started, executions)}
    if request.method == "POST" and job is not None:
        changed = executions.update(
            thing,
            job,
            body.get("status", ""),
            body.get("statusDetails"),
            body.get("expectedVersion"),
        )
        answer: dict[str, Any] = {}
        if body.get("includeJobExecutionState"):
            answer["executionState"] = {
                "status": changed.status,
                "statusDetails": changed.status_details_map,
                "versionNumber": changed.version_number,
            }
        if body.get("includeJobDocument"):
            answer["jobDocument"] = executions.document(changed)
        return answer
    raise IotRequestError(405, "InvalidRequestException", "There is no such operation.")


def _summary(execution: Any) -> dict[str, Any]:
    return {
        "jobId": execution.job_id,
        "queuedAt": int(execution.queued_at.timestamp()),
        "lastUpdatedAt": int(execution.last_updated_at.timestamp()),
        "versionNumber": execution.version_number,
        "executionNumber": execution.execution_number,
    }


def _execution(execution: Any, documents: JobExecutions | None) -> dict[str, Any]:
    answer = _summary(execution) | {
        "thingName": execution.thing_arn.rsplit("/", 1)[-1],
        "status": execution.status,
        "statusDetails": execution.status_details_map,
    }
    if execution.started_at is not None:
        answer["startedAt"] = int(execution.started_at.timestamp())
    if documents is not None:
        answer["jobDocument"] = documents.document(execution)
    return answer


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        json.dumps(body), status=status, headers=headers, content_type="application/json"
    )

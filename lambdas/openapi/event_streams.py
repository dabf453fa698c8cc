"""The operation that answers with server-sent events."""

import json
from typing import Any

from lambdas.domain.job_events import JobEventName

from . import examples

__all__ = ["stream_job_events"]

_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "The id of the last event that the caller got: the stream goes on after it.",
    "schema": {"type": "string"},
    "example": "1-running-4",
}


def stream_job_events(problems: dict[str, Any]) -> dict[str, Any]:
    """`GET /v1/jobs/{job_id}/events`.

    Args:
        problems: The answers to requests that are refused.
    """
    names = ", ".join(f"`{name}`" for name in JobEventName)
    return {
        "operationId": "streamJobEvents",
        "summary": "A job's changes as they happen",
        "description": f"Server-sent events: {names}. The data of each is the job, as `getJob` "
        "answers it; `done` is the last. Comments keep the line open. The stream ends within five "
        "minutes: come back with `Last-Event-ID`, as an EventSource does by itself. A caller may "
        "hold a number of streams open at a time, ten unless the operator chose another.",
        "tags": ["jobs"],
        "parameters": [_LAST_EVENT_ID],
        "responses": {
            "200": {
                "description": "The events.",
                "content": {
                    "text/event-stream": {"schema": {"type": "string"}, "example": _example()}
                },
            },
            "204": {"description": "The caller knows the job's end already: don't come back."},
            **problems,
        },
    }


def _example() -> str:
    first = json.dumps(examples.queued_job(), separators=(",", ":"))
    last = json.dumps(examples.succeeded_job(), separators=(",", ":"))
    return (
        "retry: 1000\n\n"
        f"id: 1-queued-0\nevent: state\ndata: {first}\n\n"
        ": still there\n\n"
        f"id: 1-succeeded-10\nevent: done\ndata: {last}\n\n"
    )

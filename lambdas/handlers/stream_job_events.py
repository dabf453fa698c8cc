"""`GET /v1/jobs/{job_id}/events`: a job's changes as server-sent events.

Source: HTML Living Standard, "Server-sent events".
"""

from collections.abc import Iterable, Iterator

from lambdas import wiring
from lambdas.domain.job_events import JobChange, JobWatcher
from lambdas.settings import StreamJobEventsSettings

from ._proxy import ApiRequest
from ._streaming import streaming_handler

__all__ = ["handler", "stream_job_events"]

# How soon a client comes back after a stream has ended.
_RETRY_MS = 1_000
# For the last event's way out, and for a read of the table that takes long.
_RESERVE_SECONDS = 5.0


def stream_job_events(request: ApiRequest, service: JobWatcher) -> Iterator[bytes] | None:
    """200 with events, or 204, which tells an `EventSource` that knows the end not to come back."""
    changes = service.watch(
        request.owner,
        request.path_parameter("job_id"),
        request.header("last-event-id"),
        request.seconds_left - _RESERVE_SECONDS,
    )
    return None if changes is None else _encode(changes)


def _encode(changes: Iterable[JobChange | None]) -> Iterator[bytes]:
    yield f"retry: {_RETRY_MS}\n\n".encode()
    for change in changes:
        if change is None:
            yield b": still there\n\n"
        else:
            # A JSON text has no line break of its own: one data line is enough.
            data = change.job.model_dump_json()
            yield f"id: {change.id}\nevent: {change.name}\ndata: {data}\n\n".encode()


handler = streaming_handler(
    stream_job_events, "text/event-stream", StreamJobEventsSettings, wiring.job_watcher
)

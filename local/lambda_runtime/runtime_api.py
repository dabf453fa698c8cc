"""Lambda's Runtime API for one process, over loopback: what a runtime of one's own talks to.

Source: AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes" and
"Implementing response streaming in a custom runtime".
"""

import base64
import json
import queue
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local.settings import LOOPBACK

__all__ = ["Ended", "LocalInvocation", "RuntimeApiServer"]

_VERSION = "/2018-06-01/runtime"
_ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
_ERROR_BODY = "Lambda-Runtime-Function-Error-Body"


@dataclass(frozen=True)
class Ended:
    """The end of an answer; an error's type and message where there was one."""

    error: tuple[str, str] | None = None


@dataclass(frozen=True)
class LocalInvocation:
    """One event on its way to the process, and the answer on its way back."""

    request_id: str
    payload: bytes
    headers: dict[str, str]
    answer: "queue.Queue[bytes | Ended]" = field(default_factory=queue.Queue)


class RuntimeApiServer:
    """Serves one process, which handles one event at a time.

    Attributes:
        address: What the process finds in AWS_LAMBDA_RUNTIME_API.
        ready: Set once the process has asked for its first event, or has failed to start.
        start_error: Why it has not started, or None.
    """

    def __init__(self) -> None:
        """Listen on a port of the system's choice."""
        self.ready = threading.Event()
        self.start_error: str | None = None
        self._events: queue.Queue[LocalInvocation | None] = queue.Queue()
        self._current: LocalInvocation | None = None
        outer = self

        class Handler(_Handler):
            api = outer

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        self.address = f"{LOOPBACK}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def send(self, invocation: LocalInvocation) -> None:
        """Hand an event to the process; its answer comes into the invocation's queue."""
        self._events.put(invocation)

    def take(self) -> LocalInvocation | None:
        """The next event; None once the server has stopped."""
        self.ready.set()
        self._current = self._events.get()
        return self._current

    def find(self, request_id: str) -> LocalInvocation | None:
        """The event under way, if that is its id."""
        current = self._current
        return current if current is not None and current.request_id == request_id else None

    def stop(self) -> None:
        """Stop listening."""
        self._events.put(None)
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: RuntimeApiServer

    def do_GET(self) -> None:
        """Wait for the next event."""
        if self.path != f"{_VERSION}/invocation/next":
            return self._reply(404)
        invocation = self.api.take()
        if invocation is None:
            self.close_connection = True  # the process is gone, or is about to be
            return None
        headers = {**invocation.headers, "Lambda-Runtime-Aws-Request-Id": invocation.request_id}
        return self._reply(200, invocation.payload, headers)

    def do_POST(self) -> None:
        """Take an answer, as it comes, or an error."""
        if self.path == f"{_VERSION}/init/error":
            self.api.start_error = ": ".join(self._error())
            self.api.ready.set()
            return self._reply(202)
        *start, request_id, kind = self.path.split("/")
        invocation = self.api.find(request_id)
        if "/".join(start) != f"{_VERSION}/invocation" or invocation is None:
            return self._reply(404)
        if kind == "error":
            invocation.answer.put(Ended(self._error()))
            return self._reply(202)
        if self.headers.get("Lambda-Runtime-Function-Response-Mode") != "streaming":
            invocation.answer.put(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            invocation.answer.put(Ended())
            return self._reply(202)
        invocation.answer.put(self._stream(invocation))
        return self._reply(202)

    def _stream(self, invocation: LocalInvocation) -> Ended:
        """Pass on a chunked body, chunk by chunk, up to its trailers."""
        while size := int(self._line().split(b";")[0], 16):
            invocation.answer.put(self.rfile.read(size))
            self._line()
        trailers = {}
        while line := self._line():
            name, _, value = line.decode().partition(":")
            trailers[name.strip().lower()] = value.strip()
        kind = trailers.get(_ERROR_TYPE.lower())
        if kind is None:
            return Ended()
        body = json.loads(base64.b64decode(trailers.get(_ERROR_BODY.lower(), "")) or b"{}")
        return Ended((kind, str(body.get("errorMessage", ""))))

    def _line(self) -> bytes:
        line = self.rfile.readline()
        if not line:
            raise ConnectionError("The process ended in the middle of its answer.")
        return line.rstrip(b"\r\n")

    def _error(self) -> tuple[str, str]:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")
        return str(body.get("errorType", "Unknown")), str(body.get("errorMessage", ""))

    def _reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if body:  # AWS's own client hangs on an event without a type
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """The function's own log says what matters."""

"""Lambda's runtime API for one process: it asks for events over HTTP and posts its answers.

Source: AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes".
"""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local.settings import LOOPBACK

__all__ = ["RuntimeApi"]

_ROOT = "/2018-06-01/runtime/"
_WAIT_SECONDS = 0.5


class RuntimeApi:
    """Serves one function process on a port of its own."""

    def __init__(self) -> None:
        """Bind the port and begin to serve."""
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _handler_for(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True, name="runtime-api").start()

    @property
    def address(self) -> str:
        """Host and port, as `AWS_LAMBDA_RUNTIME_API` has them."""
        return f"{LOOPBACK}:{self._server.server_port}"

    def send(self, message: dict[str, Any]) -> None:
        """Hand over one invocation, in the form of `worker.py`'s messages."""
        self._events.put(message)

    def receive(self, request_id: str, timeout_seconds: float) -> dict[str, Any] | None:
        """The answer to an invocation, with `body` or `error` in it; None if none came yet."""
        try:
            answered, answer = self._answers.get(timeout=timeout_seconds)
        except queue.Empty:
            return None
        return answer if answered in (request_id, "init") else None

    def close(self) -> None:
        """Stop to serve."""
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

    def next_event(self) -> dict[str, Any] | None:
        """Wait for the next invocation; None once this is closed."""
        while not self._closed.is_set():
            try:
                return self._events.get(timeout=_WAIT_SECONDS)
            except queue.Empty:
                continue
        return None

    def take_answer(self, path: str, body: bytes) -> None:
        """Note what the process posted."""
        if path == "init/error":
            self._answers.put(("init", {"error": json.loads(body)}))
            return
        _, request_id, kind = path.split("/")
        answer = {"body": body.decode()} if kind == "response" else {"error": json.loads(body)}
        self._answers.put((request_id, answer))


def _handler_for(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            event = api.next_event()
            if self.path != f"{_ROOT}invocation/next" or event is None:
                self._reply(404, b"{}")
                return
            headers = {
                "Lambda-Runtime-Aws-Request-Id": event["request_id"],
                "Lambda-Runtime-Deadline-Ms": str(int(event["deadline"] * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": event["function_arn"],
                "Lambda-Runtime-Trace-Id": event["trace_id"],
            }
            self._reply(200, json.dumps(event["event"]).encode(), headers)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            api.take_answer(self.path.removeprefix(_ROOT), body)
            self._reply(202, b'{"status":"OK"}')

        def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """The function's own log says enough."""

    return Handler

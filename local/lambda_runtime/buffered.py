"""One function process behind a runtime API, asked for whole answers."""

import json
import queue
import time
from typing import Any

from .runtime_api import Ended, LocalInvocation, RuntimeApiServer

__all__ = ["RuntimeApi"]


class RuntimeApi:
    """Hands over one invocation at a time, in the form of `worker.py`'s messages."""

    def __init__(self) -> None:
        """Bind a port and begin to serve."""
        self._server = RuntimeApiServer()
        self._current: LocalInvocation | None = None
        self._body = b""

    @property
    def address(self) -> str:
        """Host and port, as `AWS_LAMBDA_RUNTIME_API` has them."""
        return self._server.address

    def send(self, message: dict[str, Any]) -> None:
        """Hand over one invocation."""
        headers = {
            "Lambda-Runtime-Deadline-Ms": str(int(message["deadline"] * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": message["function_arn"],
            "Lambda-Runtime-Trace-Id": message["trace_id"],
        }
        payload = json.dumps(message["event"]).encode()
        self._current = LocalInvocation(message["request_id"], payload, headers)
        self._body = b""
        self._server.send(self._current)

    def receive(self, timeout_seconds: float) -> dict[str, Any] | None:
        """The answer, with `body` or `error` in it; None if it is not there in time."""
        deadline = time.monotonic() + timeout_seconds
        while self._current is not None:
            if self._server.start_error is not None:
                return _error("Runtime.ImportModuleError", self._server.start_error)
            try:
                part = self._current.answer.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            if isinstance(part, Ended):
                return _error(*part.error) if part.error else {"body": self._body.decode()}
            self._body += part
        return None

    def close(self) -> None:
        """Stop to serve."""
        self._server.stop()


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"errorType": kind, "errorMessage": message}}

"""Runs inside a function's package, under `python -S`: standard library only.

One such process per package imports the packages that every function needs, then forks one
worker per connection on its Unix socket; so a cold start costs the import of the handler alone.
The parent sends lines of JSON: first how to start (`handler`, `environment`, `directory`), then
one invocation at a time; the worker answers each with one line. It ends when the parent closes
the connection, and the process itself when its standard input ends.
"""

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

__all__: list[str] = []

_PRELOADED = (
    "json",
    "boto3",
    "botocore.session",
    "botocore.httpsession",
    "pydantic",
    "aws_lambda_powertools",
    "aws_lambda_powertools.event_handler",
)


class Context:
    """The context object of AWS's Python runtime."""

    def __init__(self, invocation: dict[str, Any]) -> None:
        self.function_name = invocation["function_name"]
        self.function_version = "$LATEST"
        self.invoked_function_arn = invocation["function_arn"]
        self.memory_limit_in_mb = str(invocation["memory_mb"])
        self.aws_request_id = invocation["request_id"]
        self.log_group_name = f"/aws/lambda/{self.function_name}"
        self.log_stream_name = f"local/{os.getpid()}"
        self.identity = None
        self.client_context = None
        self._deadline = invocation["deadline"]

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is stopped."""
        return max(0, int((self._deadline - time.time()) * 1000))

    def log(self, message: object) -> None:
        """Write to the function's log."""
        sys.stdout.write(str(message))


def _error(error: BaseException) -> dict[str, Any]:
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


def _load(handler: str) -> Callable[..., Any]:
    module, _, name = handler.rpartition(".")
    function: Callable[..., Any] = getattr(importlib.import_module(module.replace("/", ".")), name)
    return function


def _serve(connection: socket.socket) -> None:
    stream = connection.makefile("rw", encoding="utf-8", newline="\n")
    start = json.loads(stream.readline())
    os.environ.clear()
    os.environ.update(start["environment"])
    log = os.open(start["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(start["directory"])

    def answer(message: dict[str, Any]) -> None:
        stream.write(json.dumps(message) + "\n")
        stream.flush()

    try:
        handler = _load(start["handler"])
    except BaseException as error:
        traceback.print_exc()
        answer({"ready": False, "pid": os.getpid(), "error": _error(error)})
        return
    answer({"ready": True, "pid": os.getpid()})
    for line in stream:
        invocation = json.loads(line)
        os.environ["_X_AMZN_TRACE_ID"] = invocation["trace_id"]
        try:
            result = handler(invocation["event"], Context(invocation))
            body = json.dumps(result)
        except BaseException as error:
            traceback.print_exc()
            answer({"error": _error(error)})
        else:
            answer({"body": body})
        sys.stdout.flush()


def main(path: str) -> None:
    """Preload, then fork a worker per connection until standard input ends."""
    for name in _PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        readable, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in readable:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            status = 0
            try:
                _serve(connection)
            except (OSError, ValueError):
                status = 1
            os._exit(status)
        connection.close()


if __name__ == "__main__":
    main(sys.argv[1])

"""Lambda's Runtime API, as far as a streaming runtime needs it.

Source: AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes" and
"Implementing response streaming in a custom runtime".
"""

import base64
import http.client
import json
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["Invocation", "RuntimeApi", "RuntimeApiError"]

_VERSION = "/2018-06-01/runtime"
_ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
_ERROR_BODY = "Lambda-Runtime-Function-Error-Body"


class RuntimeApiError(Exception):
    """The Runtime API did not take a message; this process can't go on."""


@dataclass(frozen=True)
class Invocation:
    """One event, and what the handler's context is made of; `deadline_ms` is Unix time."""

    request_id: str
    deadline_ms: int
    function_arn: str
    trace_id: str
    event: dict[str, Any]


class RuntimeApi:
    """Asks for events and posts answers."""

    def __init__(self, address: str) -> None:
        """Talk to `address`, host and port, from AWS_LAMBDA_RUNTIME_API."""
        self._address = address

    def next(self) -> Invocation:
        """Wait for the next event, for as long as it takes: Lambda freezes the process."""
        connection = http.client.HTTPConnection(self._address)
        try:
            connection.request("GET", f"{_VERSION}/invocation/next")
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != http.client.OK:
                raise RuntimeApiError(f"There is no next event: {answer.status}.")
            return Invocation(
                request_id=answer.headers["Lambda-Runtime-Aws-Request-Id"],
                deadline_ms=int(answer.headers["Lambda-Runtime-Deadline-Ms"]),
                function_arn=answer.headers.get("Lambda-Runtime-Invoked-Function-Arn", ""),
                trace_id=answer.headers.get("Lambda-Runtime-Trace-Id", ""),
                event=json.loads(body),
            )
        finally:
            connection.close()

    def stream(self, request_id: str, media_type: str, chunks: Iterable[bytes]) -> None:
        """Post an answer while it is being made.

        An error of the iterable ends the stream and is told in trailers; it is raised again.

        Args:
            request_id: The invocation's.
            media_type: How the consumer has to read it.
            chunks: Each is sent at once.

        Raises:
            RuntimeApiError: The answer was not taken.
        """
        connection = http.client.HTTPConnection(self._address)
        try:
            connection.putrequest("POST", f"{_VERSION}/invocation/{request_id}/response")
            connection.putheader("Content-Type", media_type)
            connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.putheader("Trailer", f"{_ERROR_TYPE}, {_ERROR_BODY}")
            connection.endheaders()
            made = iter(chunks)
            while True:
                try:
                    chunk = next(made)
                except StopIteration:
                    break
                except Exception as error:
                    connection.send(b"0\r\n" + _trailers(error) + b"\r\n")
                    _expect_accepted(connection)
                    raise
                if chunk:  # an empty chunk would end the stream
                    connection.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            connection.send(b"0\r\n\r\n")
            _expect_accepted(connection)
        finally:
            connection.close()

    def fail(self, request_id: str, error: Exception) -> None:
        """Tell that the handler failed before its answer began."""
        self._report(f"{_VERSION}/invocation/{request_id}/error", error)

    def fail_to_start(self, error: Exception) -> None:
        """Tell that the handler could not be imported."""
        self._report(f"{_VERSION}/init/error", error)

    def _report(self, path: str, error: Exception) -> None:
        connection = http.client.HTTPConnection(self._address)
        try:
            headers = {"Content-Type": "application/json", _ERROR_TYPE: type(error).__name__}
            connection.request("POST", path, json.dumps(_described(error)), headers)
            _expect_accepted(connection)
        finally:
            connection.close()


def _expect_accepted(connection: http.client.HTTPConnection) -> None:
    answer = connection.getresponse()
    answer.read()
    if answer.status != http.client.ACCEPTED:
        raise RuntimeApiError(f"The Runtime API did not take the message: {answer.status}.")


def _trailers(error: Exception) -> bytes:
    body = base64.b64encode(json.dumps(_described(error)).encode()).decode()
    return f"{_ERROR_TYPE}: {type(error).__name__}\r\n{_ERROR_BODY}: {body}\r\n".encode()


def _described(error: Exception) -> dict[str, Any]:
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }

"""The HTTP application without a network: started once, then asked request by request.

For a host that hands over one request at a time, such as AWS Lambda. Everything between a request
and its answer is the same as behind a socket.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.applications import Starlette

from .errors import NotReadyError, StartError
from .service import InferenceService

__all__ = ["InProcessServer"]

_POLL_SECONDS = 0.02


class InProcessServer:
    """Runs an application on an event loop that only turns while a request is being answered.

    The model loads, and torch paints, on the worker's thread, as ever.
    """

    def __init__(self, app: Starlette) -> None:
        """Take an application; nothing runs before the first request."""
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._lifespan: AbstractAsyncContextManager[Any] | None = None

    @property
    def is_started(self) -> bool:
        """Whether a request was answered, or tried to be."""
        return self._lifespan is not None

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Answer one POST, after waiting for the model if it is not there yet.

        Args:
            path: Such as `/invocations`.
            body: JSON.
            headers: Names in lower case.

        Returns:
            Status and body.

        Raises:
            StartError: The model can't be loaded; only a new process mends that.
        """
        return self._loop.run_until_complete(self._post(path, body, headers))

    def close(self) -> None:
        """Stop the worker."""
        if self._lifespan is not None:
            self._loop.run_until_complete(self._lifespan.__aexit__(None, None, None))
            self._lifespan = None
        self._loop.close()

    async def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        if self._lifespan is None:
            self._lifespan = self._app.router.lifespan_context(self._app)
            await self._lifespan.__aenter__()
        await self._ready()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": None,
            "server": None,
        }
        exchange = _Exchange(body)
        await self._app(scope, exchange.receive, exchange.send)
        return exchange.status, bytes(exchange.answer)

    async def _ready(self) -> None:
        service: InferenceService = self._app.state.service
        while True:
            try:
                service.check_ready()
            except NotReadyError as error:
                if service.is_broken:
                    raise StartError(str(error)) from error
                await asyncio.sleep(_POLL_SECONDS)
            else:
                return


class _Exchange:
    """One request's side of ASGI: hands over the body, then stays on the line."""

    def __init__(self, body: bytes) -> None:
        self.status = 0
        self.answer = bytearray()
        self._body: bytes | None = body

    async def receive(self) -> dict[str, Any]:
        if self._body is None:
            await asyncio.Event().wait()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.answer += message.get("body", b"")

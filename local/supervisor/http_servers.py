"""WSGI servers that listen on loopback only."""

import logging
import threading
from typing import Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from local.errors import CloudStartError
from local.settings import LOOPBACK

__all__ = ["LoopbackServer"]


class _QuietHandler(WSGIRequestHandler):
    """Keeps connections open, and logs failed requests only."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if str(code).startswith("5"):
            super().log_request(code, size)


class LoopbackServer:
    """One WSGI application on one loopback port, with a thread per connection."""

    def __init__(
        self,
        name: str,
        port: int,
        application: Any,
        handler: type[WSGIRequestHandler] = _QuietHandler,
    ) -> None:
        """Bind the port.

        Raises:
            CloudStartError: Another program listens there.
        """
        try:
            self._server: BaseWSGIServer = make_server(
                LOOPBACK, port, application, threaded=True, request_handler=handler
            )
        except (OSError, SystemExit) as error:
            raise CloudStartError(
                f"Port {port} ({name}) is taken. Stop the program that uses it, or choose other "
                "ports by the variable NVFP4_LOCAL_PORT_BASE."
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name=name, daemon=True
        )
        logging.getLogger("werkzeug").setLevel(logging.WARNING)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the socket is bound to."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

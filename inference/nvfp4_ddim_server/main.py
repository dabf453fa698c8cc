"""Running the server as a process: signals, shutdown and the exit code."""

import logging
import os
import signal
import socket
import sys
import threading
import warnings
from types import FrameType

import uvicorn

from nvfp4_ddim_optimizer.process import tune_process

from .app import create_app
from .errors import StartError
from .logs import configure_logging
from .service import InferenceService
from .settings import ServerSettings

__all__ = ["EXIT_BROKEN", "serve"]

EXIT_BROKEN = 1
# Beyond the grace period of the running requests, for their answers to be sent.
_ANSWER_SECONDS = 2

logger = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """A uvicorn server that drains the service first and takes a signal for a normal end."""

    def __init__(self, config: uvicorn.Config, service: InferenceService) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Turn away what waits, then wait for the requests that run."""
        self._service.drain()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to shut down. Unlike uvicorn's own, does not die of the signal afterwards."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def serve(settings: ServerSettings) -> int:
    """Serve until SIGTERM or SIGINT, or until the model proves unusable.

    Args:
        settings: What an operator can set.

    Returns:
        The process's exit code: 0 after a signal, with the running requests finished within
        `drain_seconds`; `EXIT_BROKEN` if the artifact is missing, corrupt, too new or not the
        expected one, if the device is not there, or if the accelerator was lost. The log's last
        error says which. A process that ends at once tells its supervisor more, and sooner, than
        one whose /ping never turns green.
    """
    configure_logging(settings.log_level)
    _prepare_process()
    is_broken = threading.Event()

    def on_broken() -> None:
        is_broken.set()
        server.should_exit = True

    try:
        app = create_app(settings, on_broken=on_broken)
    except StartError as error:
        logger.error("server broken", exc_info=error)
        return EXIT_BROKEN
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.drain_seconds) + _ANSWER_SECONDS,
    )
    server = _Server(config, app.state.service)
    server.run()
    code = EXIT_BROKEN if is_broken.is_set() else 0
    logger.info("server stopped", extra={"fields": {"exit_code": code}})
    if not app.state.is_worker_gone:
        # The worker sits in a call into torch, which would crash a regular end of the interpreter.
        sys.stdout.flush()
        os._exit(code)
    return code


def _prepare_process() -> None:
    """Settings of the process as a whole, before torch is imported, which reads some of them."""
    tune_process()
    # Advice to developers, in lines that are no JSON.
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # This warning quotes the prompt, which must not end in a log.
    warnings.filterwarnings("ignore", message="only the first .* tokens of the prompt count")

"""Warm workers: one forking process per package, many workers per function."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.environment import require_isolated
from local.errors import FunctionNotRunnableError

__all__ = ["Launcher", "Worker", "WorkerStart"]

_START_SECONDS = 30.0
_WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class WorkerStart:
    """What a worker needs to begin: `module.function`, its environment and its log file."""

    handler: str
    environment: dict[str, str]
    log: Path


class Worker:
    """One process that handles one invocation at a time."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection = connection
        self._buffer = b""
        self.pid = pid

    def exchange(self, message: dict[str, Any], timeout_seconds: float) -> dict[str, Any] | None:
        """Send one invocation and wait for its answer; None when the time ran out.

        Raises:
            ConnectionError: The process died.
        """
        self._connection.sendall(json.dumps(message).encode() + b"\n")
        return self.read(time.monotonic() + timeout_seconds)

    def read(self, deadline: float) -> dict[str, Any] | None:
        """Read one line of JSON until `deadline` (monotonic); None when the time ran out."""
        chunks = [self._buffer]
        while b"\n" not in chunks[-1]:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not select.select([self._connection], [], [], remaining)[0]:
                return None
            chunk = self._connection.recv(1 << 20)
            if not chunk:
                raise ConnectionError("The worker process ended before it answered.")
            chunks.append(chunk)
        line, _, self._buffer = b"".join(chunks).partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End the process at once."""
        self._connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


@dataclass
class Launcher:
    """The forking process of one package."""

    package: Path
    runtime_layer: Path
    environment: dict[str, str]
    _process: subprocess.Popen[str] | None = field(default=None, init=False)
    _socket_path: str = field(default="", init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def start_worker(self, start: WorkerStart) -> Worker:
        """Fork a worker and wait until its handler is imported.

        Raises:
            FunctionNotRunnableError: The handler could not be imported.
        """
        self._ensure_process()
        require_isolated(start.environment)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._socket_path)
        message = {
            "handler": start.handler,
            "environment": start.environment,
            "log": str(start.log),
            "directory": str(self.package),
        }
        connection.sendall(json.dumps(message).encode() + b"\n")
        worker = Worker(connection, pid=0)
        answer = worker.read(time.monotonic() + _START_SECONDS)
        if answer is None:
            connection.close()
            raise FunctionNotRunnableError(f"{start.handler} took over 30 s to import.")
        worker.pid = answer["pid"]
        if not answer["ready"]:
            connection.close()
            error = answer["error"]
            raise FunctionNotRunnableError(
                f"{start.handler}: {error['errorType']}: {error['errorMessage']}"
            )
        return worker

    def _ensure_process(self) -> None:
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return
            # Not in the state directory: a Unix socket's path may have at most about 100 bytes.
            directory = tempfile.mkdtemp(prefix="lambda-")
            self._socket_path = f"{directory}/socket"
            require_isolated(self.environment)
            path = os.pathsep.join([str(self.package), str(self.runtime_layer)])
            self._process = subprocess.Popen(
                # -P: the worker's own neighbours are no modules of the function.
                [sys.executable, "-S", "-P", str(_WORKER), self._socket_path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=self.package,
                env={**self.environment, "PYTHONPATH": path},
            )
            assert self._process.stdout is not None  # noqa: S101 - for the type checker
            if self._process.stdout.readline() != "ready\n":
                raise FunctionNotRunnableError(f"No Python process could start in {self.package}.")
            Path(self._socket_path).chmod(0o600)

    def stop(self) -> None:
        """End the forking process; its workers end with their connections."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.wait()
                with contextlib.suppress(OSError):
                    Path(self._socket_path).unlink()
                    Path(self._socket_path).parent.rmdir()
                self._process = None

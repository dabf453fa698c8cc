"""Functions that bring a runtime of their own and stream their answers through the Runtime API."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local.environment import require_isolated
from local.errors import FunctionNotRunnableError, LocalCloudError
from local.settings import LocalSettings

from .functions import EXEC_WRAPPER, FunctionSpec, function_environment, require_python
from .packages import PackageStore
from .runtime_api import Ended, LocalInvocation, RuntimeApiServer

__all__ = ["StreamFailedError", "StreamingFunctions"]

_TASK_ROOT = "/var/task/"
_BOOTSTRAP = "/var/runtime/bootstrap.py"  # the managed loop, which the wrapper replaces
_START_SECONDS = 60.0
_LOOK_SECONDS = 0.5


class StreamFailedError(LocalCloudError):
    """A streaming function failed: the kind of error, as Lambda calls it, and its message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _Process:
    """One process, which answers one event at a time."""

    def __init__(
        self, spec: FunctionSpec, package: Path, layer: Path, settings: LocalSettings
    ) -> None:
        self.api = RuntimeApiServer()
        environment = function_environment(settings, spec, package) | {
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "PYTHONPATH": os.pathsep.join([str(package), str(layer)]),
        }
        require_isolated(environment)
        wrapper = spec.environment[EXEC_WRAPPER]
        command = package / wrapper.removeprefix(_TASK_ROOT)
        log = settings.log_directory / f"{spec.name}.log"
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [str(command), sys.executable, "-S", _BOOTSTRAP],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=package,
                    env=environment,
                )
        except OSError as error:
            self.api.stop()
            raise FunctionNotRunnableError(
                f"{spec.name}: {wrapper} can't be started: {error}"
            ) from error

    def wait_until_ready(self, name: str) -> None:
        end = time.monotonic() + _START_SECONDS
        while not self.api.ready.wait(_LOOK_SECONDS):
            if not self.is_alive or time.monotonic() > end:
                raise FunctionNotRunnableError(f"{name} did not ask for an event; see its log.")
        if self.api.start_error is not None:
            raise FunctionNotRunnableError(f"{name}: {self.api.start_error}")

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self.api.stop()


class _Function:
    """The processes of one function in one configuration."""

    def __init__(self, spec: FunctionSpec, packages: PackageStore, settings: LocalSettings) -> None:
        require_python(spec)
        self.spec = spec
        self._package = packages.extract(spec.package)
        self._layer = packages.runtime_layer()
        self._settings = settings
        self._idle: list[_Process] = []
        self._all: set[_Process] = set()
        self._lock = threading.Lock()

    def take(self) -> _Process:
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.is_alive:
                    return process
                self._all.discard(process)
        process = _Process(self.spec, self._package, self._layer, self._settings)
        with self._lock:
            self._all.add(process)
        try:
            process.wait_until_ready(self.spec.name)
        except FunctionNotRunnableError:
            self.discard(process)
            raise
        return process

    def put_back(self, process: _Process) -> None:
        with self._lock:
            if process in self._all:
                self._idle.append(process)

    def discard(self, process: _Process) -> None:
        with self._lock:
            self._all.discard(process)
        process.stop()

    def stop(self) -> None:
        with self._lock:
            processes, self._all, self._idle = self._all, set(), []
        for process in processes:
            process.stop()


class StreamingFunctions:
    """All streaming functions that were invoked so far."""

    def __init__(self, settings: LocalSettings, packages: PackageStore) -> None:
        self._settings = settings
        self._packages = packages
        self._functions: dict[str, _Function] = {}
        self._lock = threading.Lock()

    def stream(self, spec: FunctionSpec, event: Any) -> Iterator[bytes]:
        """Run a function; its answer as it comes.

        Raises:
            StreamFailedError: It failed, ended or took too long; perhaps after some chunks.
            FunctionNotRunnableError: It can't be started, or brings no runtime that streams.
        """
        if not spec.streams:
            raise FunctionNotRunnableError(f"{spec.name} has no {EXEC_WRAPPER}: it can't stream.")
        function = self._function(spec)
        process = function.take()
        deadline = time.time() + spec.timeout_seconds
        invocation = LocalInvocation(
            request_id=str(uuid.uuid4()),
            payload=json.dumps(event).encode(),
            headers={
                "Content-Type": "application/json",
                "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": spec.arn,
                "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):x}-{uuid.uuid4().hex[:24]}",
            },
        )
        process.api.send(invocation)
        return _answer(function, process, invocation, deadline)

    def warm(self, spec: FunctionSpec) -> None:
        """Start a function's first process."""
        function = self._function(spec)
        function.put_back(function.take())

    def forget(self, name: str) -> None:
        """Stop the processes of a deleted function."""
        with self._lock:
            function = self._functions.pop(name, None)
        if function is not None:
            function.stop()

    def stop(self) -> None:
        """Stop every process."""
        for name in list(self._functions):
            self.forget(name)

    def _function(self, spec: FunctionSpec) -> _Function:
        with self._lock:
            function = self._functions.get(spec.name)
            if function is None or function.spec != spec:
                if function is not None:
                    function.stop()
                function = _Function(spec, self._packages, self._settings)
                self._functions[spec.name] = function
            return function


def _answer(
    function: _Function, process: _Process, invocation: LocalInvocation, deadline: float
) -> Iterator[bytes]:
    ended = False
    try:
        for part in _parts(function, process, invocation, deadline):
            if isinstance(part, Ended):
                ended = True
                function.put_back(process)
                if part.error is not None:
                    raise StreamFailedError(*part.error)
                return
            yield part
    except StreamFailedError:
        if not ended:
            function.discard(process)
            ended = True
        raise
    finally:
        if not ended:  # nobody listens any more; Lambda lets the function go on to its end
            threading.Thread(
                target=_drain, args=(function, process, invocation, deadline), daemon=True
            ).start()


def _drain(
    function: _Function, process: _Process, invocation: LocalInvocation, deadline: float
) -> None:
    try:
        for part in _parts(function, process, invocation, deadline):
            if isinstance(part, Ended):
                function.put_back(process)
                return
    except StreamFailedError:
        function.discard(process)


def _parts(
    function: _Function, process: _Process, invocation: LocalInvocation, deadline: float
) -> Iterator[bytes | Ended]:
    """What the process sends, up to the end.

    Raises:
        StreamFailedError: It died, or its time ran out.
    """
    while True:
        try:
            part = invocation.answer.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            if not process.is_alive:
                message = "Error: Runtime exited without providing a reason"
                raise StreamFailedError("Runtime.ExitError", message) from None
            if time.time() > deadline:
                seconds = function.spec.timeout_seconds
                message = f"Task timed out after {seconds:.2f} seconds"
                raise StreamFailedError("Sandbox.Timedout", message) from None
            continue
        yield part
        if isinstance(part, Ended):
            return

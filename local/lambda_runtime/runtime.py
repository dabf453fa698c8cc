"""Invokes functions the way the Lambda service does: warm workers, timeouts, error payloads."""

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.environment import isolated_environment
from local.errors import FunctionNotRunnableError
from local.settings import LocalSettings

from .destinations import failure_record, send_to_destination
from .functions import FunctionSpec, function_environment, require_python
from .images import ImageLauncher, ImageWorker
from .packages import PackageStore
from .pool import Launcher, Worker, WorkerStart
from .streaming import StreamFailedError, StreamingFunctions

__all__ = ["InvocationResult", "LambdaRuntime"]

_LOGGER = logging.getLogger(__name__)
_MAX_SYNCHRONOUS_BYTES = 6 * 1024 * 1024


@dataclass(frozen=True)
class InvocationResult:
    """The response payload, and whether it is an error as Lambda reports one."""

    payload: bytes
    is_error: bool

    def json(self) -> Any:
        """The payload, decoded."""
        return json.loads(self.payload)


class _Function:
    """The workers of one function in one configuration."""

    def __init__(
        self, spec: FunctionSpec, launcher: Launcher | ImageLauncher, start: WorkerStart
    ) -> None:
        self.spec = spec
        self._launcher = launcher
        self._start = start
        self._idle: list[Worker | ImageWorker] = []
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(spec.concurrency)

    def run(self, message: dict[str, Any]) -> dict[str, Any] | None:
        with self._slots:
            worker = self._take()
            try:
                answer = worker.exchange(message, self.spec.timeout_seconds)
            except BaseException:
                worker.stop()
                raise
            if answer is None:
                worker.stop()
            else:
                with self._lock:
                    self._idle.append(worker)
            return answer

    def _take(self) -> Worker | ImageWorker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._launcher.start_worker(self._start)

    def warm(self) -> None:
        worker = self._take()
        with self._lock:
            self._idle.append(worker)

    def stop(self) -> None:
        with self._lock:
            for worker in self._idle:
                worker.stop()
            self._idle.clear()


class LambdaRuntime:
    """All functions that were invoked so far, and their processes."""

    def __init__(self, settings: LocalSettings, packages: PackageStore) -> None:
        self._settings = settings
        self._packages = packages
        self._functions: dict[str, _Function] = {}
        self._launchers: dict[Path, Launcher] = {}
        self._streaming = StreamingFunctions(settings, packages)
        self._lock = threading.Lock()
        settings.log_directory.mkdir(parents=True, exist_ok=True)

    def invoke(self, spec: FunctionSpec, event: Any) -> InvocationResult:
        """Run a function once and wait for it."""
        run = self._collect if spec.streams else self._run
        return run(spec, event, str(uuid.uuid4()))

    def _run(self, spec: FunctionSpec, event: Any, request_id: str) -> InvocationResult:
        try:
            function = self._function(spec)
            answer = function.run(
                {
                    "event": event,
                    "function_name": spec.name,
                    "function_arn": spec.arn,
                    "memory_mb": spec.memory_mb,
                    "request_id": request_id,
                    "trace_id": f"Root=1-{int(time.time()):x}-{uuid.uuid4().hex[:24]}",
                    "deadline": time.time() + spec.timeout_seconds,
                }
            )
        except FunctionNotRunnableError as error:
            return _failure("Runtime.ImportModuleError", str(error), request_id)
        except (ConnectionError, OSError):
            return _failure(
                "Runtime.ExitError",
                f"RequestId: {request_id} Error: Runtime exited without providing a reason",
                request_id,
            )
        if answer is None:
            message = f"{request_id} Task timed out after {spec.timeout_seconds:.2f} seconds"
            return _failure("Sandbox.Timedout", message, request_id)
        if "error" in answer:
            payload = json.dumps({**answer["error"], "requestId": request_id}).encode()
            return InvocationResult(payload, is_error=True)
        payload = answer["body"].encode()
        if len(payload) > _MAX_SYNCHRONOUS_BYTES:
            message = f"Response payload size exceeded maximum allowed payload size ({len(payload)}"
            return _failure("Function.ResponseSizeTooLarge", message + " bytes).", request_id)
        return InvocationResult(payload, is_error=False)

    def stream(self, spec: FunctionSpec, event: Any) -> Iterator[bytes]:
        """Run a streaming function; its answer as it comes, metadata first.

        Raises:
            StreamFailedError: It failed, ended or took too long; perhaps after some chunks.
            FunctionNotRunnableError: It can't be started, or does not stream.
        """
        return self._streaming.stream(spec, event)

    def _collect(self, spec: FunctionSpec, event: Any, request_id: str) -> InvocationResult:
        """A streaming function, invoked by someone who waits for the whole answer."""
        try:
            payload = b"".join(self.stream(spec, event))
        except StreamFailedError as error:
            return _failure(error.kind, str(error), request_id)
        except FunctionNotRunnableError as error:
            return _failure("Runtime.ImportModuleError", str(error), request_id)
        return InvocationResult(payload, is_error=False)

    def invoke_asynchronously(
        self,
        spec: FunctionSpec,
        event: Any,
        on_failure: Callable[[Any], None],
        retry_delay_seconds: float = 1.0,
    ) -> None:
        """Run a function in the background; an error is retried as the function's policy says.

        Args:
            spec: The function.
            event: What it gets.
            on_failure: Called with the event once no retry is left.
            retry_delay_seconds: Before the first retry; twice as long before the second.
        """
        policy = spec.async_policy

        def run() -> None:
            for attempt in range(policy.retries + 1):
                if attempt:
                    time.sleep(retry_delay_seconds * attempt)
                result = self.invoke(spec, event)
                if not result.is_error:
                    return
            _LOGGER.error("%s failed for good: %s", spec.name, result.payload.decode())
            if policy.on_failure_arn is not None:
                record = failure_record(spec.arn, event, result.payload, policy.retries + 1)
                send_to_destination(policy.on_failure_arn, record, self._settings.aws_url)
            on_failure(event)

        threading.Thread(target=run, daemon=True, name=f"async-{spec.name}").start()

    def warm(self, spec: FunctionSpec) -> None:
        """Start a function's first worker in the background, before anybody waits for it."""

        def run() -> None:
            try:
                if spec.streams:
                    self._streaming.warm(spec)
                else:
                    self._function(spec).warm()
            except (FunctionNotRunnableError, OSError) as error:
                _LOGGER.error("%s cannot start: %s", spec.name, error)

        threading.Thread(target=run, daemon=True, name=f"warm-{spec.name}").start()

    def _function(self, spec: FunctionSpec) -> _Function:
        if not spec.is_image:
            require_python(spec)
        with self._lock:
            function = self._functions.get(spec.name)
            if function is not None and function.spec == spec:
                return function
            if function is not None:
                function.stop()
            function = self._new_function(spec)
            self._functions[spec.name] = function
            return function

    def _new_function(self, spec: FunctionSpec) -> _Function:
        if spec.is_image:
            scratch = self._settings.state_directory / "functions" / "scratch" / spec.name
            launcher = ImageLauncher(self._settings.project_directory, scratch)
            return _Function(spec, launcher, self._start_of(spec, None))
        package = self._packages.extract(spec.package)
        layer = self._packages.runtime_layer()
        launcher_of_package = self._launchers.get(package)
        if launcher_of_package is None:
            launcher_of_package = Launcher(package, layer, isolated_environment(self._settings))
            self._launchers[package] = launcher_of_package
        return _Function(spec, launcher_of_package, self._start_of(spec, package))

    def _start_of(self, spec: FunctionSpec, package: Path | None) -> WorkerStart:
        environment = function_environment(self._settings, spec, package)
        log = self._settings.log_directory / f"{spec.name}.log"
        return WorkerStart(spec.handler, environment, log)

    def forget(self, name: str) -> None:
        """Stop the workers of a deleted function."""
        with self._lock:
            function = self._functions.pop(name, None)
        if function is not None:
            function.stop()
        self._streaming.forget(name)

    def stop(self) -> None:
        """Stop every process."""
        self._streaming.stop()
        with self._lock:
            for function in self._functions.values():
                function.stop()
            for launcher in self._launchers.values():
                launcher.stop()
            self._functions.clear()
            self._launchers.clear()


def _failure(error_type: str, message: str, request_id: str) -> InvocationResult:
    body = {"errorType": error_type, "errorMessage": message, "requestId": request_id}
    return InvocationResult(json.dumps(body).encode(), is_error=True)

"""One endpoint: the model on disk, the server process, its health, its restarts."""

import enum
import json
import logging
import shutil
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from local.clients import local_client
from local.environment import isolated_environment
from local.errors import ProvisioningError
from local.settings import LOOPBACK, LocalSettings
from local.supervisor.processes import ManagedProcess

__all__ = ["Endpoint", "EndpointSpec", "EndpointStatus"]

_LOGGER = logging.getLogger(__name__)
_POLL_SECONDS = 0.1
_STOP_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
# A container that never became healthy is given up after this many starts.
_MAX_FAILED_STARTS = 2
_LOG_TAIL_LINES = 12


class EndpointStatus(enum.StrEnum):
    """As SageMaker calls them."""

    CREATING = "Creating"
    IN_SERVICE = "InService"
    FAILED = "Failed"


@dataclass(frozen=True)
class EndpointSpec:
    """What an endpoint's configuration and model say, as far as running it needs.

    Attributes:
        name: Endpoint name.
        variant: Production variant's name.
        model_uri: `s3://bucket/prefix/` of the model; None where the container fetches it.
        environment: The container's variables.
        startup_seconds: Time for the first healthy answer.
        concurrency: Requests that one instance gets at a time.
        output_uri: Where answers go; None for an endpoint that is not asynchronous.
        failure_uri: Where failures go.
        success_topic: SNS topic told of answers.
        error_topic: SNS topic told of failures.
        include_response_in: Topics whose notification carries the response itself.
    """

    name: str
    variant: str
    model_uri: str | None
    environment: dict[str, str] = field(default_factory=dict)
    startup_seconds: float = 600.0
    concurrency: int = 1
    output_uri: str | None = None
    failure_uri: str | None = None
    success_topic: str | None = None
    error_topic: str | None = None
    include_response_in: frozenset[str] = frozenset()


class Endpoint:
    """Keeps one server process alive and knows whether it can take requests."""

    def __init__(self, settings: LocalSettings, spec: EndpointSpec, port: int) -> None:
        self.spec = spec
        self.port = port
        self.status = EndpointStatus.CREATING
        self.failure_reason = ""
        self._settings = settings
        self._process: ManagedProcess | None = None
        # One client, since each reads all certificates anew; a connection of its own for each
        # request, since a kept one may end just when it is used again.
        self._http = httpx.Client(
            trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=0)
        )
        self._in_service = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise, daemon=True, name=spec.name)

    @property
    def url(self) -> str:
        """Root of the server."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def log(self) -> Path:
        """The server's output."""
        return self._settings.log_directory / f"endpoint-{self.spec.name}.log"

    @property
    def process_id(self) -> int | None:
        """The server's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.exit_code() is None else None

    def start(self) -> None:
        """Begin to download the model and to start the server."""
        self._thread.start()

    def wait_until_decided(self) -> None:
        """Wait until the endpoint is in service.

        Raises:
            ProvisioningError: It failed; the message ends with the server's last words.
        """
        while self.status is EndpointStatus.CREATING and not self._stopping.is_set():
            time.sleep(_POLL_SECONDS)
        if self.status is EndpointStatus.FAILED:
            raise ProvisioningError(self.failure_reason)

    def wait_until_in_service(self, timeout_seconds: float) -> bool:
        """Wait until the server answers its health check; also after a restart."""
        return self._in_service.wait(timeout_seconds)

    def invoke(
        self, body: bytes, headers: dict[str, str], timeout_seconds: float
    ) -> httpx.Response:
        """Post a request to the container.

        Raises:
            httpx.TransportError: It gave no answer.
        """
        return self._http.post(
            f"{self.url}/invocations",
            content=body,
            headers=headers,
            timeout=httpx.Timeout(timeout_seconds, connect=_CONNECT_SECONDS),
        )

    def stop(self) -> None:
        """End the server and remove the model's files."""
        self._stopping.set()
        self._in_service.clear()
        process = self._process
        if process is not None:
            process.stop(_STOP_SECONDS)
        if self._thread.is_alive():
            self._thread.join(timeout=_STOP_SECONDS)
        self._http.close()
        shutil.rmtree(self._model_directory.parent, ignore_errors=True)

    @property
    def _model_directory(self) -> Path:
        return self._settings.state_directory / "endpoints" / self.spec.name / "model"

    def _supervise(self) -> None:
        try:
            self._download()
        except Exception as error:
            self._fail(f"The model data could not be downloaded: {error}")
            return
        failed_starts = 0
        while not self._stopping.is_set():
            self._process = self._spawn()
            if self._becomes_healthy(self._process):
                failed_starts = 0
                self.status = EndpointStatus.IN_SERVICE
                self._in_service.set()
                self._wait_for_exit(self._process)
                self._in_service.clear()
            else:
                failed_starts += 1
                if failed_starts >= _MAX_FAILED_STARTS and not self._stopping.is_set():
                    self._process.stop(_STOP_SECONDS)
                    self._fail(
                        "The primary container for production variant "
                        f"{self.spec.variant} did not pass the ping health check. Its last "
                        f"output:\n{self._log_tail()}"
                    )
                    return

    def _fail(self, reason: str) -> None:
        _LOGGER.error("Endpoint %s failed: %s", self.spec.name, reason)
        self.failure_reason = reason
        self.status = EndpointStatus.FAILED

    def _download(self) -> None:
        shutil.rmtree(self._model_directory, ignore_errors=True)
        if self.spec.model_uri is None:
            return
        s3: Any = local_client("s3", self._settings.aws_url)
        parts = urlsplit(self.spec.model_uri)
        prefix = parts.path.lstrip("/")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=parts.netloc, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        if not keys:
            raise ProvisioningError(f"No objects below {self.spec.model_uri}.")
        for key in keys:
            target = self._model_directory / key.removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(parts.netloc, key, str(target))

    def _spawn(self) -> ManagedProcess:
        environment = isolated_environment(
            self._settings,
            extra={
                **self.spec.environment,
                "SM_MODEL_DIR": str(self._model_directory),
                "SERVER_MODEL_CACHE_DIR": str(self._model_directory.with_name("registry")),
                "SERVER_HOST": LOOPBACK,
                "SERVER_PORT": str(self.port),
                "PYTHONPATH": str(self._settings.project_directory / "inference"),
            },
        )
        return ManagedProcess(
            [sys.executable, "-m", self._settings.inference_module],
            environment,
            self._settings.project_directory,
            self.log,
        )

    def _becomes_healthy(self, process: ManagedProcess) -> bool:
        deadline = time.monotonic() + self.spec.startup_seconds
        while time.monotonic() < deadline and not self._stopping.is_set():
            if process.exit_code() is not None:
                return False
            try:
                if self._http.get(f"{self.url}/ping", timeout=2.0).status_code == 200:
                    return True
            except httpx.TransportError:
                pass
            time.sleep(_POLL_SECONDS)
        return False

    def _wait_for_exit(self, process: ManagedProcess) -> None:
        while process.exit_code() is None and not self._stopping.is_set():
            time.sleep(_POLL_SECONDS)
        if not self._stopping.is_set():
            _LOGGER.warning(
                "The server of %s ended with %s; starting it again",
                self.spec.name,
                process.exit_code(),
            )

    def _log_tail(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return "(none)"
        errors = [line for line in lines if '"level": "ERROR"' in line]
        return _last_words(errors[-1]) if errors else "\n".join(lines[-_LOG_TAIL_LINES:])


def _last_words(line: str) -> str:
    """What a structured log line says went wrong: the event and the exception's last line."""
    try:
        record = json.loads(line)
    except ValueError:
        return line
    trace = str(record.get("exception", "")).strip().splitlines()
    return ": ".join(part for part in (str(record.get("event", "")), *trace[-1:]) if part)

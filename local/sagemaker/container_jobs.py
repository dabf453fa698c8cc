"""SageMaker's processing and training jobs: a container's command run as a process of this machine.

`/opt/ml` is a directory of the job's own, which the variable `NVFP4_JOB_ROOT` names. Inputs are
downloaded before the process starts, and outputs are uploaded after it has ended well.

Source: Amazon SageMaker AI developer guide, "How Amazon SageMaker Processing configures your
processing container" and "How Amazon SageMaker AI runs your training image".
"""

import enum
import json
import logging
import shutil
import sys
import tarfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from local.clients import local_client
from local.environment import isolated_environment
from local.errors import ProvisioningError
from local.settings import LocalSettings
from local.supervisor.processes import ManagedProcess

__all__ = ["ROOT_VARIABLE", "ContainerJob", "JobSpec", "JobStatus", "Mount"]

ROOT_VARIABLE = "NVFP4_JOB_ROOT"
_LOGGER = logging.getLogger(__name__)
_MODULE = "nvfp4_ddim_jobs"
_POLL_SECONDS = 0.1
_STOP_SECONDS = 30.0
_ROOT = PurePosixPath("/opt/ml")


class JobStatus(enum.StrEnum):
    """As SageMaker calls them."""

    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPED = "Stopped"


@dataclass(frozen=True)
class Mount:
    """What is copied between S3 and a folder below `/opt/ml`.

    Attributes:
        uri: `s3://bucket/prefix`.
        path: Such as `/opt/ml/processing/input/model`.
        archive: Name of the one `.tar.gz` that an output becomes; else its files are copied.
    """

    uri: str
    path: str
    archive: str | None = None


@dataclass(frozen=True)
class JobSpec:
    """What a job's request says, as far as running it needs.

    Attributes:
        name: Its name.
        command: Entry point and arguments.
        environment: The container's variables.
        inputs: Downloaded before the start.
        outputs: Uploaded after the end.
        documents: Files that SageMaker writes into `/opt/ml`, by their paths in it.
        folders: Folders that it makes there.
        max_seconds: After this the job is stopped.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    inputs: tuple[Mount, ...]
    outputs: tuple[Mount, ...]
    documents: dict[str, Any] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    max_seconds: float = 86_400.0

    def __post_init__(self) -> None:
        """Refuse what cannot be run here.

        Raises:
            ProvisioningError: The command is none of this project's, or a folder lies elsewhere.
        """
        if self.command[:3] != ("python", "-m", _MODULE):
            raise ProvisioningError(
                f"The local cloud runs jobs of 'python -m {_MODULE}' only, not {self.command}."
            )
        for mount in (*self.inputs, *self.outputs):
            if not PurePosixPath(mount.path).is_relative_to(_ROOT) or ".." in mount.path:
                raise ProvisioningError(f"{mount.path} does not lie below {_ROOT}.")


class ContainerJob:
    """One job; it runs in a thread of its own from `start` on."""

    def __init__(self, settings: LocalSettings, spec: JobSpec) -> None:
        self.spec = spec
        self.status = JobStatus.IN_PROGRESS
        self.failure_reason = ""
        self.exit_message = ""
        self.created_at = datetime.now(UTC)
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None
        self._settings = settings
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=spec.name)

    @property
    def log(self) -> Path:
        """The container's output."""
        return self._settings.log_directory / f"job-{self.spec.name}.log"

    @property
    def root(self) -> Path:
        """What stands for `/opt/ml`."""
        return self._settings.state_directory / "jobs" / self.spec.name / "ml"

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the process; nothing is uploaded."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_STOP_SECONDS)

    def _run(self) -> None:
        try:
            self._prepare()
            self.started_at = datetime.now(UTC)
            self.status = self._work()
        except Exception as error:
            _LOGGER.exception("The job %s failed", self.spec.name)
            self.failure_reason = f"InternalServerError: {error}"
            self.status = JobStatus.FAILED
        finally:
            self.ended_at = datetime.now(UTC)
            shutil.rmtree(self.root.parent, ignore_errors=True)

    def _prepare(self) -> None:
        shutil.rmtree(self.root.parent, ignore_errors=True)
        for mount in self.spec.inputs:
            self._download(mount)
        for folder in (*self.spec.folders, *(mount.path for mount in self.spec.outputs)):
            self._here(folder).mkdir(parents=True, exist_ok=True)
        for path, document in self.spec.documents.items():
            target = self._here(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(document))

    def _work(self) -> JobStatus:
        process = ManagedProcess(
            [sys.executable, *self.spec.command[1:]],
            isolated_environment(
                self._settings,
                extra={
                    **self.spec.environment,
                    ROOT_VARIABLE: str(self.root),
                    "HF_HUB_OFFLINE": "1",
                    "PYTHONPATH": ":".join(
                        str(self._settings.project_directory / each) for each in ("inference", "")
                    ),
                },
            ),
            self._settings.project_directory,
            self.log,
        )
        deadline = time.monotonic() + self.spec.max_seconds
        while (code := process.exit_code()) is None:
            if self._stopping.is_set() or time.monotonic() > deadline:
                process.stop(_STOP_SECONDS)
                self.failure_reason = "The job was stopped, or ran for longer than it may."
                return JobStatus.STOPPED
            time.sleep(_POLL_SECONDS)
        if code != 0:
            self.exit_message = self._message()
            self.failure_reason = f"AlgorithmError: , exit code: {code}"
            return JobStatus.FAILED
        for mount in self.spec.outputs:
            self._upload(mount)
        return JobStatus.COMPLETED

    def _message(self) -> str:
        try:
            return (self.root / "output" / "message").read_text()
        except OSError:
            return ""

    def _here(self, path: str) -> Path:
        return self.root / PurePosixPath(path).relative_to(_ROOT)

    def _download(self, mount: Mount) -> None:
        s3 = local_client("s3", self._settings.aws_url)
        bucket, prefix = _parts(mount.uri)
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        if not keys:
            raise ProvisioningError(f"No objects below {mount.uri}.")
        for key in keys:
            # A prefix may be one whole key: its file keeps its name.
            relative = key.removeprefix(prefix).lstrip("/") or key.rpartition("/")[2]
            target = self._here(mount.path) / relative
            if key.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, key, str(target))

    def _upload(self, mount: Mount) -> None:
        s3 = local_client("s3", self._settings.aws_url)
        bucket, prefix = _parts(mount.uri)
        folder = self._here(mount.path)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        if mount.archive is None:
            for path in files:
                key = f"{prefix.rstrip('/')}/{path.relative_to(folder).as_posix()}"
                s3.upload_file(str(path), bucket, key)
            return
        archive = self.root / mount.archive
        with tarfile.open(archive, "w:gz") as tar:
            for path in files:
                tar.add(path, path.relative_to(folder).as_posix())
        s3.upload_file(str(archive), bucket, f"{prefix.rstrip('/')}/{mount.archive}")


def _parts(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")

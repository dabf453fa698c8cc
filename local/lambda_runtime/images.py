"""Functions from container images: what the image's entry point runs, as a process of this machine.

The only image that the app defines is the inference server's, so that is what runs: its entry
point, with the real runtime client in it, against a runtime API of ours.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.environment import require_isolated
from local.supervisor.processes import ManagedProcess

from .buffered import RuntimeApi
from .pool import WorkerStart

__all__ = ["ImageLauncher", "ImageWorker"]

_ENTRY_POINT = [sys.executable, "-m", "nvfp4_ddim_server", "serve"]
_POLL_SECONDS = 0.2
_STOP_SECONDS = 5.0


class ImageWorker:
    """One process that handles one invocation at a time."""

    def __init__(self, process: ManagedProcess, api: RuntimeApi) -> None:
        self._process = process
        self._api = api

    def exchange(self, message: dict[str, Any], timeout_seconds: float) -> dict[str, Any] | None:
        """Send one invocation and wait for its answer; None when the time ran out.

        Raises:
            ConnectionError: The process died.
        """
        deadline = time.monotonic() + timeout_seconds
        self._api.send(message)
        while time.monotonic() < deadline:
            answer = self._api.receive(_POLL_SECONDS)
            if answer is not None:
                return answer
            if self._process.exit_code() is not None:
                raise ConnectionError("The function's process ended before it answered.")
        return None

    def stop(self) -> None:
        """End the process."""
        self._process.stop(_STOP_SECONDS)
        self._api.close()


@dataclass(frozen=True)
class ImageLauncher:
    """Starts the image's entry point. `scratch` is what the function has in place of its /tmp."""

    project_directory: Path
    scratch: Path

    def start_worker(self, start: WorkerStart) -> ImageWorker:
        """Start a process; like a container's, it has no model in it yet."""
        require_isolated(start.environment)
        api = RuntimeApi()
        environment = {
            **start.environment,
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "SERVER_MODEL_CACHE_DIR": str(self.scratch / "models"),
            "XDG_CACHE_HOME": str(self.scratch / "cache"),
            "PYTHONPATH": str(self.project_directory / "inference"),
        }
        process = ManagedProcess(_ENTRY_POINT, environment, self.project_directory, start.log)
        return ImageWorker(process, api)

    def stop(self) -> None:
        """Nothing runs beside the workers."""

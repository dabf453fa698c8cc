"""Starting, finding and ending the supervising process."""

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass

import httpx

from .environment import isolated_environment
from .errors import CloudNotRunningError, CloudStartError
from .settings import LocalSettings
from .supervisor import end_process_tree, is_running

__all__ = ["RunningCloud", "find_cloud", "require_cloud", "start_cloud", "stop_cloud"]

_START_SECONDS = 60.0
_POLL_SECONDS = 0.05
_STOP_SECONDS = 40.0


@dataclass(frozen=True)
class RunningCloud:
    """A cloud that serves; `was_started` by this call."""

    pid: int
    was_started: bool


def find_cloud(settings: LocalSettings) -> RunningCloud | None:
    """The running cloud of this state directory, if there is one.

    Raises:
        CloudStartError: One runs, but on other ports than asked for.
    """
    try:
        state = json.loads(settings.state_file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if not is_running(state["pid"]):
        settings.state_file.unlink(missing_ok=True)
        return None
    if state["port_base"] != settings.port_base:
        raise CloudStartError(
            f"A local cloud of this directory runs on ports from {state['port_base']}; stop it "
            f"first (make down), or set NVFP4_LOCAL_PORT_BASE={state['port_base']}."
        )
    return RunningCloud(pid=state["pid"], was_started=False)


def require_cloud(settings: LocalSettings) -> RunningCloud:
    """The running cloud.

    Raises:
        CloudNotRunningError: There is none.
    """
    cloud = find_cloud(settings)
    if cloud is None:
        raise CloudNotRunningError("The local cloud is not running; start it with `make up`.")
    return cloud


def start_cloud(settings: LocalSettings) -> RunningCloud:
    """Find the running cloud or start one in the background, and wait until it serves.

    Raises:
        CloudStartError: It ended, or did not serve in time; the message ends with its log.
    """
    running = find_cloud(settings)
    if running is not None:
        return running
    settings.log_directory.mkdir(parents=True, exist_ok=True)
    log = settings.log_directory / "start.log"
    environment = isolated_environment(
        settings, extra={"PYTHONPATH": str(settings.project_directory)}
    )
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local", "serve"],
            env=environment,
            cwd=settings.project_directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if settings.state_file.exists() and _answers(settings):
            return RunningCloud(pid=process.pid, was_started=True)
        time.sleep(_POLL_SECONDS)
    if process.poll() is None:
        process.kill()
    raise CloudStartError(f"The local cloud did not start.\n{log.read_text()[-2000:]}")


def _answers(settings: LocalSettings) -> bool:
    with contextlib.suppress(httpx.TransportError):
        url = f"{settings.aws_url}/moto-api/"
        return httpx.get(url, trust_env=False, timeout=2.0).status_code < 500
    return False


def stop_cloud(settings: LocalSettings) -> bool:
    """End the running cloud and everything it started; whether there was one."""
    cloud = find_cloud(settings)
    if cloud is None:
        return False
    end_process_tree(cloud.pid, _STOP_SECONDS)
    settings.state_file.unlink(missing_ok=True)
    return True

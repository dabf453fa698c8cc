import sys
import time
from pathlib import Path

import httpx
import pytest
from werkzeug.wrappers import Request, Response

from local.environment import isolated_environment
from local.errors import CloudStartError, UnsafeEnvironmentError
from local.settings import LocalSettings
from local.supervisor import LoopbackServer, ManagedProcess, end_process_tree, is_running


@Request.application
def hello(request: Request) -> Response:
    return Response("hello")


def test_a_server_binds_loopback_only_and_frees_its_port() -> None:
    server = LoopbackServer("test", 0, hello)
    server.start()
    host, port = server.address
    assert host == "127.0.0.1"
    assert httpx.get(f"http://127.0.0.1:{port}", trust_env=False).text == "hello"
    with pytest.raises(CloudStartError, match=f"Port {port}"):
        LoopbackServer("other", port, hello)
    server.stop()
    LoopbackServer("again", port, hello)._server.server_close()


def test_a_process_needs_an_isolated_environment(settings: LocalSettings, tmp_path: Path) -> None:
    with pytest.raises(UnsafeEnvironmentError):
        ManagedProcess([sys.executable, "-c", ""], {}, tmp_path, tmp_path / "log")


def test_a_process_logs_and_ends_with_its_children(settings: LocalSettings, tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; print('started', flush=True);"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)"
    )
    log = tmp_path / "process.log"
    process = ManagedProcess(
        [sys.executable, "-c", code], isolated_environment(settings), tmp_path, log
    )
    while "started" not in log.read_text():
        time.sleep(0.02)
    assert process.exit_code() is None
    assert is_running(process.pid)
    end_process_tree(process.pid, grace_seconds=5)
    assert process.exit_code() is not None
    assert not is_running(process.pid)

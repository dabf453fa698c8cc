"""`nvfp4-ddim pull` as a process: what it says, how it ends, and what a kill leaves."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support_edge import Answer, CdnServer, Publisher, make_files

MEGABYTE = 2**20
WEIGHTS = "unet/weights.safetensors"


def start(server: CdnServer, target: Path, *options: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "XDG_CONFIG_HOME": str(target.parent / "config")}
    command = [sys.executable, "-c", "from nvfp4_ddim_optimizer.cli import main; main()"]
    return subprocess.Popen(
        [*command, "pull", "m", "--cdn", server.url, "-o", str(target), *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(server: CdnServer, target: Path, *options: str) -> tuple[int, str, str]:
    process = start(server, target, *options)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_it_says_what_it_did_and_what_it_trusts(server: CdnServer, tmp_path: Path) -> None:
    publisher = Publisher()
    sha256 = server.publish(publisher, make_files())
    code, out, err = run(server, tmp_path / "m")
    assert code == 0, err
    assert "m is complete: 4 files" in out
    assert sha256 in out
    assert publisher.key_id in err
    path = f"models/m/{server.publish(publisher, make_files(2))}/{WEIGHTS}"
    server.files[path] = b"?" * len(server.files[path])
    code, out, err = run(server, tmp_path / "m")
    assert code == 3
    assert "altered on its way" in err
    assert "Traceback" not in err
    assert (tmp_path / "m" / WEIGHTS).read_bytes() == make_files()[WEIGHTS]


def test_a_killed_pull_goes_on(server: CdnServer, tmp_path: Path) -> None:
    files = make_files(size=40 * MEGABYTE)
    server.publish(Publisher(), files)
    target, held = tmp_path / "m", threading.Event()

    def fault(path: str, count: int, answer: Answer) -> None:
        if path.endswith(WEIGHTS) and count >= 2:
            answer.cut, answer.hold = MEGABYTE, held

    server.fault = fault
    process = start(server, target, "--parallel", "2")
    record = tmp_path / ".m.pull" / "partial"
    deadline = time.monotonic() + 60
    while sum(each.name.endswith(".ranges") for each in _names(record)) == 0 or (
        len(server.asked(WEIGHTS)) < 4
    ):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    held.set()
    assert not target.exists()
    server.fault = lambda *_: None
    before = server.sent_bytes
    code, _, err = run(server, target)
    assert code == 0, err
    assert (target / WEIGHTS).read_bytes() == files[WEIGHTS]
    assert server.sent_bytes - before < 33 * MEGABYTE
    assert {each.name for each in tmp_path.iterdir()} == {"m", "config", ".m.pull.lock"}


def _names(directory: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        return list(directory.iterdir())
    return []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB, where this process may mount one."""
    mount = tmp_path / "disk"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(mount)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("may not mount a disk")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_disk_that_fills_up_meanwhile_damages_nothing(
    server: CdnServer, small_disk: Path
) -> None:
    publisher = Publisher()
    server.publish(publisher, make_files(1))
    assert run(server, small_disk / "m")[0] == 0
    server.publish(publisher, make_files(2, size=6 * MEGABYTE))

    def fill(path: str, count: int, answer: Answer) -> None:
        # Another program takes the space that was free when the pull began.
        if path.endswith(WEIGHTS) and count == 0:
            with (small_disk / "other").open("wb") as other, contextlib.suppress(OSError):
                other.write(bytes(40 * MEGABYTE))

    server.fault = fill
    code, _, err = run(server, small_disk / "m")
    assert code == 1
    assert "is full. Free some space" in err
    assert (small_disk / "m" / WEIGHTS).read_bytes() == make_files(1)[WEIGHTS]
    (small_disk / "other").unlink()
    code, _, err = run(server, small_disk / "m")
    assert code == 0, err
    assert (small_disk / "m" / WEIGHTS).stat().st_size == 6 * MEGABYTE


def test_a_disk_too_small_is_said_before_anything_is_fetched(
    server: CdnServer, small_disk: Path
) -> None:
    server.publish(Publisher(), make_files(1, size=30 * MEGABYTE))
    outcome: tuple[int, str, Any] = run(server, small_disk / "m")
    assert outcome[0] == 1
    assert "bytes free" in outcome[2]
    assert not server.asked(WEIGHTS)

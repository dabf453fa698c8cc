import subprocess
import sys

import numpy as np
import pytest

from benchmarks.uses.measured_process import run_measured


def test_what_the_caller_holds_is_not_counted() -> None:
    held = np.ones(60_000_000)  # 480 MB
    small = run_measured([sys.executable, "-S", "-c", "print('hello')"])
    large = run_measured([sys.executable, "-S", "-c", "x = bytearray(b'1') * 100_000_000"])
    assert held.sum() > 0
    assert small.output == "hello\n"
    assert large.output == ""
    assert 3e6 < small.peak_bytes < 50e6
    assert 90e6 < large.peak_bytes - small.peak_bytes < 130e6


def test_a_command_that_fails_is_an_error() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        run_measured([sys.executable, "-S", "-c", "raise SystemExit(3)"])

"""The kernels' self-test in C++: here, under sanitizers, and on an emulated ARM64 processor."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("selftest.sh")
MISSING_TOOL = 77


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("mode", ["host", "sanitizers", "arm64"])
def test_the_kernels_agree_with_scalar_code(mode: str) -> None:
    run = subprocess.run([str(SCRIPT), mode], capture_output=True, text=True, check=False)
    if run.returncode == MISSING_TOOL:
        pytest.skip(run.stderr.strip())
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.endswith(": 0 failures\n")

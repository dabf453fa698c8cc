"""Output and peak memory of a child process."""

import subprocess
import sys
from dataclasses import dataclass

__all__ = ["MeasuredRun", "run_measured"]

# Linux counts in KiB, macOS in bytes.
_UNIT = 1 if sys.platform == "darwin" else 1024
# Linux counts to a process what its parent had when it was started. So a small one starts it.
_STARTER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(f"\\n{usage.ru_maxrss}")
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class MeasuredRun:
    """What a command printed, and its peak resident bytes."""

    output: str
    peak_bytes: float


def run_measured(command: list[str]) -> MeasuredRun:
    """Run a command to its end.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-S", "-c", _STARTER, *command],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    output, _, peak = done.stdout.rstrip().rpartition("\n")
    return MeasuredRun(output, float(peak) * _UNIT)

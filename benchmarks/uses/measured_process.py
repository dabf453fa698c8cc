"""Peak memory of a child process."""

import subprocess
import sys

__all__ = ["run_measured"]

# Linux counts in KiB, macOS in bytes.
_UNIT = 1 if sys.platform == "darwin" else 1024
# Linux counts to a process what its parent had when it was started. So a small one starts it.
_STARTER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def run_measured(command: list[str]) -> float:
    """Run a command to its end.

    Returns:
        Its peak resident bytes.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-S", "-c", _STARTER, *command],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return float(done.stdout) * _UNIT

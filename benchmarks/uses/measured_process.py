"""Peak memory of a child process."""

import os
import subprocess
import sys

__all__ = ["run_measured"]

# Linux counts in KiB, macOS in bytes.
_UNIT = 1 if sys.platform == "darwin" else 1024


def run_measured(command: list[str]) -> float:
    """Run a command to its end.

    Returns:
        Its peak resident bytes.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return float(usage.ru_maxrss * _UNIT)

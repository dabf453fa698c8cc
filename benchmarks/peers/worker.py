"""One contestant in a process of its own, obeying lines of JSON on its standard input.

    python -m benchmarks.peers.worker NAME --model DIR --work DIR --size 512 --threads 2 [--prepare]

Commands: {"do": "step"}, {"do": "output", "path": ...}, {"do": "parts"}, {"do": "image", "steps":
..., "preset": ...}. Each is answered by one line with its result and the process's peak memory.
"""

import argparse
import ctypes
import json
import os
import platform
import signal
import sys
import traceback
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

from .contract import Contestant, Job
from .registry import PEERS

__all__ = ["main", "peak_bytes"]

_PR_SET_PDEATHSIG = 1


def peak_bytes() -> int:
    """The largest resident set that this process ever had (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not tell the peak memory")


def _claim_stdout() -> TextIO:
    """Keep standard output for answers: what libraries print there goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def _die_with_parent() -> None:
    """A driver that is killed leaves no stopped workers behind."""
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _obey(contestant: Contestant, command: dict[str, Any]) -> dict[str, Any]:
    match command["do"]:
        case "step":
            return {"seconds": contestant.step()}
        case "output":
            import numpy as np

            np.save(command["path"], contestant.output().numpy())
            return {}
        case "parts":
            return contestant.parts()
        case "image":
            return {"seconds": contestant.image(command["steps"], command["preset"])}
    raise ValueError(f"unknown command {command['do']!r}")


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # run from a source tree
            versions[package] = "source"
    return versions


def main() -> None:
    """Run a contestant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--prepare", action="store_true")
    arguments = parser.parse_args()
    answers = _claim_stdout()
    _die_with_parent()

    import torch

    torch.set_num_threads(arguments.threads)
    peer = PEERS[arguments.name]
    work = arguments.work / f"{peer.module.removesuffix('_unet')}-{peer.variant}"
    work.mkdir(parents=True, exist_ok=True)
    job = Job(peer.variant, arguments.model, work, arguments.size, arguments.threads)
    module = import_module(f"{__package__}.{peer.module}")
    if arguments.prepare:
        module.prepare(job)
        return
    contestant: Contestant = module.load(job)
    ready = {"details": contestant.details(), "versions": _versions(peer.packages)}
    answers.write(json.dumps(ready | {"peak_bytes": peak_bytes()}) + "\n")
    for line in sys.stdin:
        try:
            answer = _obey(contestant, json.loads(line))
        except Exception as error:  # the driver reports it and goes on with the next pair
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer | {"peak_bytes": peak_bytes()}) + "\n")


if __name__ == "__main__":
    main()
    # Threads that wait for a step which will not come must not keep the process.
    sys.stderr.flush()
    os._exit(0)

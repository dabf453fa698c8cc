"""Settings of the process belong to whoever owns it: entry points make them, imports never."""

import subprocess
import sys

import pytest

# Counts calls of mallopt, which leave no other trace, by standing in for the C library's loader.
_PROBE = """
import ctypes, os, signal, sys, threading, warnings
loaded = []
real = ctypes.CDLL
class Spy(real):
    def __getattr__(self, name):
        if name == "mallopt":
            loaded.append(name)
        return super().__getattr__(name)
ctypes.CDLL = Spy
before = dict(os.environ)
{statements}
changed = {{k: v for k, v in os.environ.items() if before.get(k) != v}}
print("mallopt", bool(loaded), "OMP_NUM_THREADS" in changed, "OMP_WAIT_POLICY" in changed)
"""
_IMPORTS = """
import nvfp4_ddim_optimizer
import nvfp4_ddim_optimizer.pipeline, nvfp4_ddim_optimizer.memory, nvfp4_ddim_optimizer.cli.app
import nvfp4_ddim_server.main
nvfp4_ddim_optimizer.OptimizationPipeline
assert not {"OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MALLOC_MMAP_MAX_"} & set(os.environ)
"""
_CLI = """
from nvfp4_ddim_optimizer.cli.runtime import prepare_process
prepare_process(debug=False)
assert "torch" not in sys.modules
"""
_SERVER = """
from nvfp4_ddim_server.main import _prepare_process
_prepare_process()
assert "torch" not in sys.modules
"""


def run(statements: str) -> str:
    import os

    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "MALLOC_"))}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", _PROBE.format(statements=statements)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.split("mallopt ")[1].strip()


def test_importing_changes_nothing() -> None:
    assert run(_IMPORTS) == "False False False"


@pytest.mark.parametrize("entry_point", [_CLI, _SERVER], ids=["command line", "server"])
def test_entry_points_set_the_process_up_before_torch(entry_point: str) -> None:
    mallopt, threads, policy = run(entry_point).split()
    assert (threads, policy) == ("True", "True")
    if sys.platform == "linux":
        assert mallopt == "True"

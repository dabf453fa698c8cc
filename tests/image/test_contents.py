"""What is in the image, and what is not."""

import json
import subprocess
from typing import Any

import pytest

from tests.support_image import Image

pytestmark = pytest.mark.slow

# Kernels are built where the image is built: one without them is right, and several times slower.
LOOK = """
import importlib.metadata, json, shutil, sys
from nvfp4_ddim_optimizer.native import library
kernels = library()
print(json.dumps({
    "instruction_sets": kernels.instruction_sets if kernels else None,
    "has_threads": bool(kernels and kernels.has_threads),
    "programs": [name for name in ("g++", "gcc", "cc", "pip") if shutil.which(name)],
    "packages": sorted(each.name for each in importlib.metadata.distributions()),
    "nvidia": [each for each in sys.path if "nvidia" in each],
}))
"""


@pytest.fixture(scope="module")
def contents(image: Image) -> Any:
    command = image.command(["-W", "error", "-c", LOOK], options=["--entrypoint=python"])
    finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


def test_the_kernels_are_there_for_every_processor_of_the_kind(contents: Any) -> None:
    assert contents["has_threads"]
    assert "baseline" in contents["instruction_sets"]


def test_what_builds_it_is_not_in_it(contents: Any) -> None:
    assert contents["programs"] == []
    assert "pip" not in contents["packages"]
    assert not [name for name in contents["packages"] if name.startswith("nvidia-")]


def test_the_command_line_is_there(image: Image) -> None:
    command = image.command(["--help"], options=["--entrypoint=nvfp4-ddim"])
    finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    assert "quantize" in finished.stdout

"""The example runs on the bundled model and finds nuclei."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from nvfp4_ddim_optimizer.sources import bundled_models

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(
    "nuclei-128" not in bundled_models(), reason="the model is not bundled with this checkout"
)


@pytest.mark.parametrize("name", ["nuclei-stained.png", "nuclei-fluorescence.png"])
def test_it_finds_nuclei(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "examples" / "segment.py",
            ROOT / "examples" / "inputs" / name,
            "--output",
            tmp_path,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    count = int(done.stdout.split()[0])
    assert 10 < count < 150
    assert Image.open(tmp_path / "overlay.png").size == (512, 512)

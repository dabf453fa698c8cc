"""What the command line takes: time and peak memory of a process of its own."""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.uses.measured_process import run_measured

__all__ = ["command_cost"]

SIDE = 512


def command_cost(artifact: str, samples: int) -> tuple[float, float, int]:
    """Segment a large picture with `nvfp4-ddim segment`.

    Returns:
        Seconds, peak resident bytes, pixels.
    """
    rng = np.random.default_rng(0)
    picture = rng.poisson(6, (SIDE, SIDE)).astype(np.uint8)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for row, column in rng.integers(0, SIDE, (150, 2)):
        window = (slice(max(0, row - 8), row + 8), slice(max(0, column - 8), column + 8))
        inside = (rows[window] - row) ** 2 + (columns[window] - column) ** 2 < 49
        picture[window][inside] += 60
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.png"
        Image.fromarray(picture).save(path)
        program = "from nvfp4_ddim_optimizer.cli import main; main()"
        arguments = ["segment", str(path), "-m", artifact, "-o", str(Path(folder) / "out")]
        arguments += ["--samples", str(samples), "--steps", "10", "--seed", "0"]
        start = time.perf_counter()
        peak = run_measured([sys.executable, "-c", program, *arguments]).peak_bytes
        return time.perf_counter() - start, peak, SIDE * SIDE

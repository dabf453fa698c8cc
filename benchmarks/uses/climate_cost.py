"""One frame of one member in a process of its own: its seconds, as JSON.

Run: python -m benchmarks.uses.climate_cost MODEL STEPS THREADS
"""

import json
import sys
import time

import numpy as np
import torch

from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.tasks.interpolate import InterpolateTask, States

__all__ = ["main"]


def main(model: str, steps: int, threads: int) -> None:
    """Load, warm up with two steps, measure."""
    torch.set_num_threads(threads)
    began = time.perf_counter()
    task = OptimizationPipeline.from_preset(model).task("interpolate")
    if not isinstance(task, InterpolateTask):
        raise SystemExit(f"{model} does not interpolate fields")
    loaded = time.perf_counter()
    grid = task.interpolator.grid
    warm = 40 * np.cos(np.deg2rad(grid.latitudes))[:, None] - 15 + np.zeros(grid.shape)
    states = States(warm, warm + 1, grid, 0.0, 12.0)
    task.interpolator.interpolate(states, (0.5,), members=1, num_inference_steps=2)
    ready = time.perf_counter()
    task.interpolator.interpolate(states, (0.5,), members=1, num_inference_steps=steps)
    print(json.dumps({"load_seconds": loaded - began, "seconds": time.perf_counter() - ready}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

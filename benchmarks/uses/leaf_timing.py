"""Times of one model in a process of its own; prints JSON.

Run: python -m benchmarks.uses.leaf_timing PHOTO MODEL
"""

import json
import statistics
import sys
import time

__all__ = ["main"]

_REPEATS = 25


def main() -> None:
    """Load, warm up, and take the median of a few runs."""
    from PIL import Image

    from nvfp4_ddim_optimizer import OptimizationPipeline
    from nvfp4_ddim_optimizer.tasks.analyze import LeafAnalyzer

    photo, model = Image.open(sys.argv[1]).convert("RGB"), sys.argv[2]
    started = time.perf_counter()
    analyzer = LeafAnalyzer(OptimizationPipeline.from_preset(model).task("analyze").model)
    report: dict[str, float] = {"load_seconds": time.perf_counter() - started}
    for name, steps in (("fast", 0), ("10", 10), ("20", 20), ("50", 50)):
        method = "thorough" if steps else "fast"
        wall, used = [], []
        for repeat in range(_REPEATS if not steps else 5):
            start, cpu = time.perf_counter(), time.process_time()
            analyzer.analyze(photo, method=method, num_inference_steps=steps or 1, seed=repeat)
            wall.append(time.perf_counter() - start)
            used.append(time.process_time() - cpu)
        report[f"{name}_ms"] = 1000 * statistics.median(wall)
        report[f"{name}_cpu_ms"] = 1000 * statistics.median(used)
    print(json.dumps(report))


if __name__ == "__main__":
    main()

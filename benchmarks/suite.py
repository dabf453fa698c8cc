"""Every benchmark that can run on this machine, one after the other, and then the page.

Run: python -m benchmarks.suite   (or `make bench`; hours on a small machine)
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from benchmarks.claims import DOCS
from benchmarks.page import write_page

__all__ = ["BENCHMARKS", "Benchmark", "main"]

_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Benchmark:
    """One script.

    Attributes:
        command: Its module and arguments.
        obstacle: Says why it can't run here, or None.
    """

    command: tuple[str, ...]
    obstacle: Callable[[], str | None] = lambda: None


def _needs_drawings() -> str | None:
    data = _ROOT / "training" / "data" / "emoji_64.npz"
    return None if data.exists() else "needs `python -m training.emoji_data` first"


def _of_use(name: str, data: str, notes: str | None = None, **others: str) -> Benchmark:
    """A benchmark of one of the four uses.

    Args:
        name: Its module.
        data: What `--data` is given, in `training/data`.
        notes: Says where the data comes from; by default the training notes of that name.
        others: Further options that take files of `training/data`.
    """
    files = {"data": data, **others}
    paths = {option: _ROOT / "training" / "data" / file for option, file in files.items()}
    source = notes or f"training/{name}/README.md"

    def obstacle() -> str | None:
        absent = [f"training/data/{path.name}" for path in paths.values() if not path.exists()]
        return f"needs {' and '.join(absent)}: {source}" if absent else None

    options = [word for option, path in paths.items() for word in (f"--{option}", str(path))]
    return Benchmark((f"benchmarks.{name}", *options), obstacle)


def _needs_node() -> str | None:
    return None if shutil.which("node") else "needs Node.js for the AWS CDK"


BENCHMARKS = (
    Benchmark(("benchmarks.demo",), _needs_node),
    Benchmark(("benchmarks.service",), _needs_node),
    Benchmark(("benchmarks.batch", "--rows", "10000"), _needs_node),
    Benchmark(("benchmarks.lambda_lane",)),
    Benchmark(("benchmarks.container",)),
    Benchmark(("benchmarks.retrieval",), _needs_drawings),
    Benchmark(("benchmarks.kernels",)),
    Benchmark(("benchmarks.operations",), _needs_drawings),
    Benchmark(("benchmarks.sensitivity",), _needs_drawings),
    Benchmark(("benchmarks.low_rank",), _needs_drawings),
    Benchmark(("benchmarks.speed", "--full")),
    Benchmark(("benchmarks.operations", "--time", "out/speed/sd15")),
    Benchmark(("benchmarks.storage", "--sd15", "out/speed/sd15")),
    Benchmark(("benchmarks.dense",)),
    Benchmark(("benchmarks.quantization_check",)),
    Benchmark(("benchmarks.memory",)),
    _of_use("segment", "nuclei.npz"),
    _of_use("compress", "kodak"),
    _of_use("interpolate", "temperature.npz"),
    _of_use("analyze", "potato_leaf.zip", foreign="foreign"),
    _of_use("leaf_foreign", "potato_leaf.zip", "benchmarks/leaf_foreign.py", pictures="wallpapers"),
    Benchmark(("benchmarks.quality", "sample"), _needs_drawings),
    Benchmark(("benchmarks.quality", "report"), _needs_drawings),
)
"""In this order: quick ones first, and `speed` writes the model that others read."""


def main() -> None:
    """Run them all; one that fails does not keep the others from running."""
    failed = []
    for benchmark in BENCHMARKS:
        name = " ".join(benchmark.command)
        obstacle = benchmark.obstacle()
        if obstacle:
            typer.echo(f"== {name}: left out, {obstacle}")
            continue
        typer.echo(f"== {name}")
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", *benchmark.command], cwd=_ROOT, check=False
        )
        if done.returncode:
            failed.append(name)
    typer.echo(f"-> {write_page(DOCS)}")
    if failed:
        typer.echo(f"failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

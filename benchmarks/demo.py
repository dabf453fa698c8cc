"""How long `make demo` takes: the first time, and again with the stack running.

Each round stops the local cloud, runs the demo from nothing and then once more. Values are medians.
Installation and the first synth, which is kept while the sources are unchanged, are not counted.

Run: python -m benchmarks.demo   (after `make demo` once)
"""

import json
import statistics
import subprocess
import sys
from typing import Annotated, Any

import typer

from benchmarks.claims import Claim, write_claims

__all__ = ["main"]

_LOCAL = [sys.executable, "-m", "local"]


def _demo() -> dict[str, float]:
    command = [*_LOCAL, "demo", "--prompt", "red heart", "--seed", "7", "--json"]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    document: dict[str, Any] = json.loads(finished.stdout)
    return dict(document["seconds"])


def main(rounds: Annotated[int, typer.Option(min=1, help="Runs to take medians of.")] = 3) -> None:
    """Measure and write the claims."""
    first, again = [], []
    for _ in range(rounds):
        subprocess.run([*_LOCAL, "down"], check=True, capture_output=True)  # noqa: S603
        first.append(_demo())
        again.append(_demo())
        typer.echo(f"first {first[-1]}\nagain {again[-1]}")
    subprocess.run([*_LOCAL, "down"], check=True, capture_output=True)  # noqa: S603

    def median(runs: list[dict[str, float]], part: str) -> float:
        return statistics.median(run[part] for run in runs)

    write_claims(
        "demo",
        "python -m benchmarks.demo",
        [
            Claim(
                "demo_seconds",
                median(first, "in all"),
                "s",
                60,
                "lower",
                "`make demo` after installation, nothing running, synth kept",
            ),
            Claim(
                "demo_again_seconds",
                median(again, "in all"),
                "s",
                None,
                "lower",
                "`make demo` with the stack running",
            ),
            Claim(
                "prompt_to_image_seconds",
                median(again, "prompt to image"),
                "s",
                5,
                "lower",
                "from the API call to the picture's last byte, preset balanced, container warm",
            ),
            Claim(
                "generate_seconds",
                median(again, "generate"),
                "s",
                None,
                "lower",
                "of these, the container's sampling and encoding",
            ),
        ],
    )


if __name__ == "__main__":
    typer.run(main)

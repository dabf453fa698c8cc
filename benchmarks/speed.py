"""How fast a sampling step and a picture are, against others on the same processor.

The architecture of Stable Diffusion 1.5 with random weights, which is the same work as the
published ones, 512 x 512 with guidance. Each contestant lives in a process of its own and is
stopped while another is measured; steps of ours and of the contestant alternate. Results are kept
per contestant, so a run that was cut off goes on where it was.

Run: pip install -e .[peers], then python -m benchmarks.speed   (--full for the published numbers)
"""

import json
import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.claims import DOCS
from benchmarks.peers.client import Arena, ContestantError
from benchmarks.peers.pairs import run_pair
from benchmarks.peers.pictures import run_pictures
from benchmarks.peers.registry import OURS, PEERS
from benchmarks.speed_report import write_report

__all__ = ["main", "measure"]

PICTURES = "pictures"
_CONTESTANTS = [name for name in PEERS if name != OURS]
_ROOT = Path(__file__).parents[1]


def revision() -> str:
    """The commit of this source tree, with a plus where files differ from it."""
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or "unknown"


def _model(given: Path | None, work: Path) -> Path:
    if given is not None:
        return given
    model = work / "sd15"
    if not (model / "model_index.json").exists():
        from benchmarks.architectures import write_model  # imports torch, which takes seconds

        typer.echo(f"writing the architecture with random weights to {model}")
        write_model("sd15", model)
    return model


def measure(
    arena: Arena, names: list[str], *, rounds: int, full: bool, again: bool
) -> dict[str, dict[str, Any]]:
    """Measure what was not measured yet.

    Args:
        arena: What all contestants have in common.
        names: Contestants; `PICTURES` stands for whole pictures.
        rounds: Steps of each in a pair.
        full: See `run_pictures`.
        again: Measure what was measured before, too.

    Returns:
        Every record there is, by name, also those of earlier runs. A record of a contestant
        that could not be measured has the single key "failed".
    """
    folder = arena.work / f"results-{arena.size}-{arena.threads}"
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names, 1):
        path = folder / f"{name}.json"
        known = json.loads(path.read_text()) if path.exists() else {"failed": "not yet measured"}
        stale = full and name == PICTURES and not known.get("full")
        if "failed" not in known and not again and not stale:
            typer.echo(f"[{number}/{len(names)}] {name}: measured on {known['date']}, kept")
            continue
        typer.echo(f"[{number}/{len(names)}] {name}")
        record = _measure_one(arena, name, rounds=rounds, full=full)
        if "failed" in record:
            typer.echo(f"  FAILED: {record['failed']}", err=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(record, indent=2) + "\n")
        unfinished.rename(path)
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def _measure_one(arena: Arena, name: str, *, rounds: int, full: bool) -> dict[str, Any]:
    try:
        if name == PICTURES:
            return run_pictures(arena, full=full, revision=revision())
        missing = PEERS[name].missing
        if missing:
            return {"failed": f"{missing} is not installed: pip install -e .[peers]"}
        return run_pair(arena, name, rounds, revision())
    except ContestantError as error:
        return {"failed": str(error)}


def main(
    *,
    model: Annotated[
        Path | None, typer.Option(help="Diffusers directory; made where none is given.")
    ] = None,
    work: Annotated[Path, typer.Option(help="For models, logs and results: about 25 GB.")] = Path(
        "out/speed"
    ),
    only: Annotated[
        list[str] | None,
        typer.Option(help=f"One of {', '.join([*_CONTESTANTS, PICTURES])}; may be repeated."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Steps to take medians of.")] = 3,
    size: Annotated[int, typer.Option(help="Side of the picture in pixels.")] = 512,
    threads: Annotated[int, typer.Option(min=1, help="Of the processor.")] = 2,
    docs: Annotated[Path, typer.Option(help="Where the claims and plots go.")] = DOCS,
    full: Annotated[
        bool, typer.Option("--full", help="Run all 50 steps of the baseline's picture.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Measure what was measured before, too.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Write the claims though some are missing.")
    ] = False,
) -> None:
    """Measure, write the claims and the plots."""
    names = only or [*_CONTESTANTS, PICTURES]
    unknown = set(names) - {*_CONTESTANTS, PICTURES}
    if unknown:
        raise typer.BadParameter(f"no contestant {', '.join(sorted(unknown))}")
    work.mkdir(parents=True, exist_ok=True)
    arena = Arena(_model(model, work), work, size, threads)
    records = measure(arena, names, rounds=rounds, full=full, again=again)
    absent = [name for name in [*_CONTESTANTS, PICTURES] if name not in records]
    if absent and not partial:
        typer.echo(f"claims are not written: {', '.join(absent)} not measured yet (--partial)")
        return
    command = "python -m benchmarks.speed" + (" --full" if full else "")
    typer.echo(f"-> {write_report(records, command, docs)}")


if __name__ == "__main__":
    typer.run(main)

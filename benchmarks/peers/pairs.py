"""One contestant against ours, step by step in alternation."""

import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.claims import machine

from .client import Arena, ContestantError, Worker
from .registry import BASELINE, OURS, PEERS

__all__ = ["check_output", "ensure_reference", "run_pair"]


def _reference(arena: Arena) -> Path:
    return arena.work / f"reference-{arena.size}.npy"


def ensure_reference(arena: Arena, name: str) -> Path:
    """The full-precision answer to the common call, made once.

    Args:
        arena: What all contestants have in common.
        name: Who is going to be measured; the baseline answers for itself.
    """
    path = _reference(arena)
    if not path.exists() and name != BASELINE:
        with arena.workers(BASELINE) as workers:
            workers[BASELINE].step()
            workers[BASELINE].ask(do="output", path=str(path))
    return path


def check_output(worker: Worker, arena: Arena) -> float:
    """Relative error |y - y_fp32| / |y_fp32| of what a contestant predicted.

    Raises:
        ContestantError: It is larger than the contestant's number format explains.
    """
    path = arena.work / f"{worker.name}-output.npy"
    reference_path = Path(worker.ready["details"].get("reference") or _reference(arena))
    worker.ask(do="output", path=str(path))
    if worker.name == BASELINE and not reference_path.exists():
        path.rename(reference_path)
        return 0.0
    reference = np.load(reference_path).astype(np.float64)
    error = float(
        np.linalg.norm(np.load(path).astype(np.float64) - reference) / np.linalg.norm(reference)
    )
    limit = PEERS[worker.name].max_error
    if not error <= limit:
        raise ContestantError(
            f"{worker.name} predicts something else than full precision: relative error "
            f"{error:.3g}, where its format explains {limit:g}"
        )
    return error


def run_pair(arena: Arena, name: str, rounds: int, revision: str) -> dict[str, Any]:
    """Measure a contestant and ours in alternation.

    Args:
        arena: What both have in common.
        name: The contestant.
        rounds: Steps of each after the first, which is kept apart.
        revision: Of this source tree, for the record.

    Returns:
        The record, as it is written to JSON.

    Raises:
        ContestantError: One of the two failed.
    """
    peer = PEERS[name]
    for each in (OURS, name):
        print(f"  preparing {each}", flush=True)
        arena.prepare(each)
    ensure_reference(arena, name)
    print(f"  loading {OURS} and {name}", flush=True)
    with arena.workers(OURS, name) as workers:
        first = {each: worker.step() for each, worker in workers.items()}
        print(f"  first step: {_seconds(first)}", flush=True)
        # The contestant first: the baseline's answer is the reference where there is none yet.
        errors = {each: check_output(workers[each], arena) for each in (name, OURS)}
        taken = []
        for number in range(rounds):
            taken.append({each: worker.step() for each, worker in workers.items()})
            print(f"  round {number + 1} of {rounds}: {_seconds(taken[-1])}", flush=True)
        record = {
            "name": name,
            "label": peer.label,
            "size": arena.size,
            "threads": arena.threads,
            "seconds": {each: statistics.median(t[each] for t in taken) for each in workers},
            "ratio": statistics.median(t[name] / t[OURS] for t in taken),
            "rounds": taken,
            "first_step_seconds": first,
            "relative_error": errors,
            "peak_bytes": {each: worker.peak_bytes for each, worker in workers.items()},
            "details": {each: _settings(worker) for each, worker in workers.items()},
            "versions": {each: worker.ready["versions"] for each, worker in workers.items()},
            "environment": peer.environment,
            "machine": machine(),
            "revision": revision,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    if peer.own_picture:
        print("  its text encoder and decoder", flush=True)
        with arena.workers(name) as workers:
            parts = workers[name].ask(do="parts")
            record["parts"] = {key: parts[key] for key in ("text", "decode")}
            record["picture_peak_bytes"] = workers[name].peak_bytes
    return record


def _settings(worker: Worker) -> dict[str, str]:
    details: dict[str, str] = worker.ready["details"]
    return {key: value for key, value in details.items() if key != "reference"}


def _seconds(times: dict[str, float]) -> str:
    return ", ".join(f"{name} {seconds:.2f} s" for name, seconds in times.items())

"""Whole pictures: ours under each preset, against 50 full-precision steps of diffusers."""

import statistics
from datetime import UTC, datetime
from typing import Any

from benchmarks.claims import machine
from nvfp4_ddim_contracts import Preset

from .client import Arena, Worker
from .registry import BASELINE, OURS

__all__ = ["BASELINE_STEPS", "run_pictures"]

BASELINE_STEPS = 50
_STEPS_BETWEEN = 3


def run_pictures(arena: Arena, *, full: bool, revision: str) -> dict[str, Any]:
    """Make pictures with both.

    Args:
        arena: What both have in common.
        full: Run all 50 steps of the baseline, and the preset of as many steps. Otherwise the
            baseline's time is put together from its text encoder, the median of some steps,
            which are taken between our pictures, and its decoder.
        revision: Of this source tree, for the record.

    Returns:
        The record, as it is written to JSON.

    Raises:
        ContestantError: One of the two failed.
    """
    for each in (OURS, BASELINE):
        arena.prepare(each)
    presets = [preset for preset in Preset if full or preset is not Preset.QUALITY]
    with arena.workers(OURS, BASELINE) as workers:
        ours, baseline = workers[OURS], workers[BASELINE]
        for worker in (ours, baseline):
            worker.step()  # what happens in the first call only is no part of a step
        parts, steps, pictures = [], [], {}
        for preset in presets:
            parts.append(baseline.ask(do="parts"))
            steps += [baseline.step() for _ in range(_STEPS_BETWEEN)]
            pictures[str(preset)] = _picture(ours, preset)
        record: dict[str, Any] = {
            "ours": pictures,
            "baseline": {
                "text": statistics.median(part["text"] for part in parts),
                "decode": statistics.median(part["decode"] for part in parts),
                "step": statistics.median(steps),
            },
        }
        whole = record["baseline"]
        whole["composed_seconds"] = whole["text"] + BASELINE_STEPS * whole["step"] + whole["decode"]
        whole["seconds"] = whole["composed_seconds"]
        if full:
            answer = baseline.ask(do="image", steps=BASELINE_STEPS, preset="")
            whole["seconds"] = answer["seconds"]
            print(f"  {BASELINE}, {BASELINE_STEPS} steps: {answer['seconds']:.1f} s", flush=True)
        return record | {
            "full": full,
            "size": arena.size,
            "threads": arena.threads,
            "peak_bytes": {OURS: ours.peak_bytes, BASELINE: baseline.peak_bytes},
            "details": ours.ready["details"],
            "machine": machine(),
            "revision": revision,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def _picture(ours: Worker, preset: Preset) -> dict[str, float]:
    seconds = float(ours.ask(do="image", steps=0, preset=str(preset))["seconds"])
    print(f"  ours, preset {preset}: {seconds:.1f} s", flush=True)
    return {"seconds": seconds, "steps": preset.steps}

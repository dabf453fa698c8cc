"""What `benchmarks.speed` measured, as claims and plots."""

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.claims import Claim, write_claims
from benchmarks.peers.pictures import BASELINE_STEPS
from benchmarks.peers.registry import BASELINE, OURS, PEERS

__all__ = ["claims_of", "write_report"]

Records = dict[str, dict[str, Any]]

_PICTURES = "pictures"
# The steps of the preset that the others' pictures are compared at.
_BALANCED_STEPS = 20
_GOALS = {BASELINE: ("diffusers_fp32", 1.5), "sdnq": ("sdnq", 2.0), "sdcpp": ("sdcpp", 3.0)}
_OPENVINO_GOAL, _PICTURE_GOAL = 1.3, 8.0
_TRIED = {
    "sdnq": "convolutions and attention have kernels of their own; what is left, as slow in both, "
    "are torch's linear layers, which run near the processor's peak (benchmarks.kernels)"
}
_OURS_COLOUR, _PEER_COLOUR = "#2a7f62", "#9aa5b1"
RATIOS, SECONDS, MEMORY, PICTURES = (
    "How many times faster we are",
    "Seconds a step and a picture",
    "Peak memory",
    "Whole pictures",
)


def _measured(records: Records) -> dict[str, dict[str, Any]]:
    """Pairs in the registry's order, less what failed."""
    return {
        name: records[name] for name in PEERS if name in records and "failed" not in records[name]
    }


def _ours_step(pairs: Records) -> float:
    """Median over all pairs: ours runs in each of them."""
    return float(
        statistics.median(taken[OURS] for pair in pairs.values() for taken in pair["rounds"])
    )


def claims_of(records: Records) -> list[Claim]:
    """The claims that records support.

    Args:
        records: By contestant, and whole pictures under "pictures".
    """
    pairs = _measured(records)
    pictures = records.get(_PICTURES, {"failed": ""})
    claims = list(_step_ratios(pairs))
    if "failed" not in pictures:
        claims += _picture_claims(pictures, pairs)
    return claims + list(_step_claims(pairs))


def _step_ratios(pairs: Records) -> Iterator[Claim]:
    openvino = {name: pair for name, pair in pairs.items() if name.startswith("openvino")}
    if openvino:
        best = min(openvino.values(), key=lambda pair: pair["ratio"])
        note = f"a step, against the fastest OpenVINO here: {best['label']}"
        yield Claim(
            "step_ratio_vs_openvino", best["ratio"], "×", _OPENVINO_GOAL, "higher", note, RATIOS
        )
    for name, pair in pairs.items():
        slug, goal = _GOALS.get(name, (name.replace("-", "_"), None))
        note = (
            f"a step, against {pair['label']}: {pair['seconds'][name]:.1f} s, ours "
            f"{pair['seconds'][OURS]:.1f} s in the same session"
        )
        if goal is not None and pair["ratio"] < goal and name in _TRIED:
            note += f". Tried: {_TRIED[name]}"
        yield Claim(f"step_ratio_vs_{slug}", pair["ratio"], "×", goal, "higher", note, RATIOS)


def _picture_claims(pictures: dict[str, Any], pairs: Records) -> Iterator[Claim]:
    baseline, ours = pictures["baseline"], pictures["ours"]
    how = (
        "run whole"
        if pictures["full"]
        else f"text {baseline['text']:.1f} s + {BASELINE_STEPS} median steps of "
        f"{baseline['step']:.2f} s + decoder {baseline['decode']:.1f} s"
    )
    yield Claim(
        "image_ratio_balanced_vs_50step_fp32",
        baseline["seconds"] / ours["balanced"]["seconds"],
        "×",
        _PICTURE_GOAL,
        "higher",
        f"a picture, preset balanced against {BASELINE_STEPS} fp32 steps of diffusers ({how})",
        RATIOS,
    )
    for preset, picture in ours.items():
        note = f"ours, preset {preset}, {picture['steps']} steps, prompt to picture"
        seconds = picture["seconds"]
        yield Claim(f"image_seconds_{preset}", seconds, "s", None, "lower", note, PICTURES)
    for slug, label, seconds in _peer_pictures(pictures, pairs):
        yield Claim(f"image_seconds_{slug}", seconds, "s", None, "lower", label, PICTURES)
    for name, peak in pictures["peak_bytes"].items():
        note = f"peak memory while making pictures, {PEERS[name].label}"
        slug = name.replace("-", "_")
        yield Claim(f"image_peak_bytes_{slug}", peak, "bytes", None, "lower", note, PICTURES)


def _peer_pictures(pictures: dict[str, Any], pairs: Records) -> Iterator[tuple[str, str, float]]:
    """Pictures of others: the baseline's, and what 20 steps would take with each other UNet."""
    baseline = pictures["baseline"]
    note = f"diffusers fp32, {BASELINE_STEPS} steps"
    yield "diffusers_fp32_50", note, baseline["seconds"]
    for name, pair in pairs.items():
        if PEERS[name].module == "ours":
            continue
        parts = pair.get("parts", baseline)
        source = "its own" if "parts" in pair else "diffusers'"
        seconds = parts["text"] + _BALANCED_STEPS * pair["seconds"][name] + parts["decode"]
        yield (
            f"{name.replace('-', '_')}_{_BALANCED_STEPS}",
            f"{pair['label']}, {_BALANCED_STEPS} median steps, {source} text encoder and decoder",
            seconds,
        )


def _step_claims(pairs: Records) -> Iterator[Claim]:
    if not pairs:
        return
    any_pair = next(iter(pairs.values()))
    what = f"UNet call, {any_pair['size']} × {any_pair['size']}, batch 2"
    path = any_pair["details"][OURS].get("execution path", "")
    yield Claim(
        "step_seconds_ours",
        _ours_step(pairs),
        "s",
        None,
        "lower",
        f"{PEERS[OURS].label} ({path}); {what}, {any_pair['threads']} threads, median of all pairs",
        SECONDS,
    )
    for name, pair in pairs.items():
        slug = name.replace("-", "_")
        first, error = pair["first_step_seconds"][name], pair["relative_error"][name]
        note = (
            f"{pair['label']}; first step {first:.1f} s; relative error of the prediction "
            f"{error:.2g}"
        )
        seconds = pair["seconds"][name]
        yield Claim(f"step_seconds_{slug}", seconds, "s", None, "lower", note, SECONDS)
    ours_peak = max(pair["peak_bytes"][OURS] for pair in pairs.values())
    note = f"{PEERS[OURS].label}: process that loads and steps"
    yield Claim("step_peak_bytes_ours", ours_peak, "bytes", None, "lower", note, MEMORY)
    for name, pair in pairs.items():
        slug, peak = name.replace("-", "_"), pair["peak_bytes"][name]
        yield Claim(f"step_peak_bytes_{slug}", peak, "bytes", None, "lower", pair["label"], MEMORY)


def write_report(records: Records, command: str, docs: Path) -> Path:
    """Write the claims, the plots and the records themselves.

    Args:
        records: By contestant, and whole pictures under "pictures".
        command: How anyone makes these numbers again.
        docs: The folder of claims.

    Returns:
        The claims' file.
    """
    (docs / "records").mkdir(parents=True, exist_ok=True)
    (docs / "records" / "speed.json").write_text(json.dumps(records, indent=2) + "\n")
    claims = claims_of(records)
    pairs = _measured(records)
    with mpl.rc_context({"font.size": 9, "svg.hashsalt": "speed"}):
        if pairs:
            _plot_steps(pairs, docs / "speed_steps.png")
        if "failed" not in records.get(_PICTURES, {"failed": ""}):
            _plot_pictures(records[_PICTURES], pairs, docs / "speed_pictures.png")
    return write_claims("speed", command, claims, docs)


def _plot_steps(pairs: Records, path: Path) -> None:
    any_pair = next(iter(pairs.values()))
    rows = [
        (
            PEERS[OURS].label,
            _ours_step(pairs),
            max(pair["peak_bytes"][OURS] for pair in pairs.values()),
            True,
        )
    ] + [
        (
            pair["label"],
            pair["seconds"][name],
            pair["peak_bytes"][name],
            PEERS[name].module == "ours",
        )
        for name, pair in pairs.items()
    ]
    rows.sort(key=lambda row: row[1], reverse=True)
    labels = [row[0] for row in rows]
    colours = [_OURS_COLOUR if row[3] else _PEER_COLOUR for row in rows]
    figure, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(9, 0.8 + 0.33 * len(rows)))
    _bars(left, labels, [row[1] for row in rows], colours, "seconds a UNet step (lower is better)")
    _bars(right, labels, [row[2] / 1e9 for row in rows], colours, "peak memory, GB")
    left.set_title(
        f"Stable Diffusion 1.5's UNet, {any_pair['size']} × {any_pair['size']} with guidance, "
        f"{any_pair['threads']} threads",
        loc="left",
    )
    figure.tight_layout()
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


def _plot_pictures(pictures: dict[str, Any], pairs: Records, path: Path) -> None:
    rows = [
        (f"NVFP4, ours, {preset} ({picture['steps']} steps)", picture["seconds"], True)
        for preset, picture in pictures["ours"].items()
    ] + [
        (label.split(" median")[0] + (" steps" if "median" in label else ""), seconds, False)
        for _, label, seconds in _peer_pictures(pictures, pairs)
    ]
    rows.sort(key=lambda row: row[1], reverse=True)
    colours = [_OURS_COLOUR if row[2] else _PEER_COLOUR for row in rows]
    figure, axes = plt.subplots(figsize=(8, 0.8 + 0.33 * len(rows)))
    names, seconds = [row[0] for row in rows], [row[1] for row in rows]
    _bars(axes, names, seconds, colours, "seconds from prompt to picture (lower is better)")
    figure.tight_layout()
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


def _bars(
    axes: Any, labels: list[str], values: list[float], colours: list[str], title: str
) -> None:
    bars = axes.barh(labels, values, color=colours)
    axes.bar_label(bars, fmt="%.3g", padding=3)
    axes.set_xlabel(title)
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)

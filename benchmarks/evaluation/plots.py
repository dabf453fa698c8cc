"""Plots of the quality report and of the layers' sensitivity."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes

from .results import FormatResult, Results
from .schedule import REFERENCE_STEPS, STEPS, SURVEY_STEPS
from .sensitivity import SensitivityResults, summarise
from .weight_formats import FULL_PRECISION

mpl.use("Agg")

from matplotlib import pyplot as plt

__all__ = ["plot_formats", "plot_sensitivity", "plot_steps"]

_OURS, _PEERS, _EXACT = "#76b900", "#777777", "#1f4e9c"
_PANEL = 4.2


def plot_formats(results: Sequence[Results], path: Path) -> None:
    """Stored size against error: of the weights, of the UNet's output, of the Fréchet distance."""
    _, axes = plt.subplots(
        len(results), 3, figsize=(3 * _PANEL, len(results) * _PANEL), squeeze=False
    )
    for row, found in zip(axes, results, strict=True):

        def delta(name: str, found: Results = found) -> float | None:
            comparison = found.comparisons.get((name, SURVEY_STEPS))
            return None if comparison is None else comparison.delta_percent

        formats = found.formats
        _scatter(row[0], formats, lambda name, f=formats: f[name].cost.relative_error)
        row[0].set_ylabel("relative squared error of weights")
        _scatter(row[1], formats, lambda name, f=formats: f[name].output_error)
        row[1].set_ylabel("relative error of the UNet's output")
        _scatter(row[2], formats, delta)
        row[2].axhline(0, color=_EXACT, linewidth=0.8)
        row[2].set_ylabel(f"Fréchet distance over full precision, %\n({SURVEY_STEPS} steps)")
        row[0].set_title(found.subject, loc="left", fontweight="bold")
    _save(path)


def _scatter(
    axes: Axes,
    formats: Mapping[str, FormatResult],
    value: Callable[[str], float | None],
) -> None:
    for name, result in formats.items():
        height = value(name)
        if result.weight_format is FULL_PRECISION or height is None:
            continue
        colour = _OURS if result.weight_format.is_ours else _PEERS
        bits = result.cost.stored_bits_per_weight
        axes.plot(bits, height, "o", color=colour)
        axes.annotate(name, (bits, height), (4, 4), textcoords="offset points", fontsize=8)
    axes.set_xlabel("stored bits a weight")
    axes.margins(x=0.25)
    axes.grid(alpha=0.3)


def plot_steps(results: Sequence[Results], path: Path) -> None:
    """The step curve: distance to real pictures by steps; distance to the 100-step samples."""
    _, axes = plt.subplots(
        len(results), 2, figsize=(2 * 1.3 * _PANEL, len(results) * _PANEL), squeeze=False
    )
    for row, found in zip(axes, results, strict=True):
        steps = sorted(found.frechet_fp)
        row[0].plot(
            steps, [found.frechet_fp[s] for s in steps], "o-", color=_EXACT, label="full precision"
        )
        for name, result in found.formats.items():
            points = [
                (s, found.comparisons[name, s].frechet)
                for s in STEPS
                if (name, s) in found.comparisons
            ]
            if len(points) > 1:
                style = "o--" if result.weight_format.is_ours else "s:"
                row[0].plot(*zip(*points, strict=True), style, label=result.weight_format.title)
        row[0].set_ylabel("Fréchet distance to real pictures\n(EfficientNet-Lite0 features)")
        row[0].legend(fontsize=8)
        row[0].set_title(found.subject, loc="left", fontweight="bold")
        chosen = sorted(found.curve)
        row[1].plot(chosen, [found.curve[s].feature_l2 for s in chosen], "o-", color=_EXACT)
        row[1].set_ylabel(
            f"full precision: mean feature distance\nto its {REFERENCE_STEPS}-step twin"
        )
        row[1].set_ylim(bottom=0)
        for panel in row:
            panel.set_xscale("log")
            panel.set_xticks(steps or STEPS, [str(s) for s in steps or STEPS])
            panel.minorticks_off()
            panel.set_xlabel("DDIM steps")
            panel.grid(alpha=0.3)
    _save(path)


def plot_sensitivity(results: Sequence[SensitivityResults], path: Path) -> None:
    """Each layer's error by kind, and what a saved megabyte costs in each kind."""
    _, axes = plt.subplots(
        len(results), 2, figsize=(3.4 * _PANEL, 1.1 * len(results) * _PANEL), squeeze=False
    )
    for row, found in zip(axes, results, strict=True):
        summaries = summarise(found.layers)
        kinds = [summary.kind for summary in summaries]
        start = 0
        for summary in summaries:
            errors = sorted(
                (e.output_error for e in found.layers if e.kind == summary.kind), reverse=True
            )
            places = range(start, start + len(errors))
            row[0].plot(places, errors, "o", markersize=3, label=summary.kind)
            start += len(errors) + 2
        row[0].set_xticks([])
        row[0].set_xlabel("layers, by kind")
        row[0].set_ylabel("relative error of the UNet's output,\nthis layer alone quantised")
        row[0].legend(fontsize=7)
        row[0].set_title(found.subject, loc="left", fontweight="bold")
        costs = [summary.squared_error_per_megabyte for summary in summaries]
        colours = [_PEERS if summary.kept else _OURS for summary in summaries]
        row[1].barh(kinds[::-1], costs[::-1], color=colours[::-1])
        row[1].set_xscale("log")
        row[1].set_xlabel("squared error for each MB saved (grey: kept by the default policy)")
        for panel in row:
            panel.grid(alpha=0.3)
        row[0].set_yscale("log")
    _save(path)


def _save(path: Path) -> None:
    plt.tight_layout()
    plt.savefig(path, dpi=110)
    plt.close()

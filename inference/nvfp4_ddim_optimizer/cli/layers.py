"""Quantised layers in numbers: summed up by component, as tables, as a plot."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from nvfp4_ddim_contracts import LayerEntry
from nvfp4_ddim_optimizer.errors import NVFP4Error

__all__ = ["ComponentSummary", "format_bytes", "layer_table", "plot_layers", "summarise"]


@dataclass(frozen=True)
class ComponentSummary:
    """One component's quantised layers.

    Attributes:
        component: Its name.
        layers: How many layers are quantised.
        weights: How many weights they have.
        packed_bytes: What these take.
        bits_per_weight: Mean over the weights.
        sqnr_db: Mean over the layers whose error is known; None if it is known of none.
        worst: The layer with the lowest SQNR; None likewise.
    """

    component: str
    layers: int
    weights: int
    packed_bytes: int
    bits_per_weight: float
    sqnr_db: float | None
    worst: LayerEntry | None


def summarise(entries: Iterable[LayerEntry]) -> list[ComponentSummary]:
    """Sum layers up by component, in the order of their first layer."""
    groups: dict[str, list[LayerEntry]] = {}
    for entry in entries:
        groups.setdefault(entry.component, []).append(entry)
    return [_summarise_component(component, group) for component, group in groups.items()]


def _summarise_component(component: str, group: Sequence[LayerEntry]) -> ComponentSummary:
    weights = sum(_weights(entry) for entry in group)
    packed_bytes = sum(_packed_bytes(entry) for entry in group)
    known = [(entry.sqnr_db, entry) for entry in group if entry.sqnr_db is not None]
    return ComponentSummary(
        component=component,
        layers=len(group),
        weights=weights,
        packed_bytes=round(packed_bytes),
        bits_per_weight=8 * packed_bytes / weights,
        sqnr_db=sum(error for error, _ in known) / len(known) if known else None,
        worst=min(known, key=lambda pair: pair[0])[1] if known else None,
    )


def layer_table(entries: Iterable[LayerEntry], *, every_layer: bool = False) -> Table:
    """A table for the terminal: one row a component, or one a layer."""
    if every_layer:
        table = Table("Layer", "Shape", "Bits/weight", "SQNR dB", "Size", box=None)
        for entry in entries:
            table.add_row(
                f"{entry.component}.{entry.name}",
                "×".join(map(str, entry.shape)),
                f"{entry.bits_per_weight:.3f}",
                _decibels(entry.sqnr_db),
                format_bytes(_packed_bytes(entry)),
            )
        return table
    table = Table(
        "Component", "Layers", "Weights", "Bits/weight", "Size", "SQNR dB", "Worst dB", box=None
    )
    for summary in summarise(entries):
        table.add_row(
            summary.component,
            str(summary.layers),
            f"{summary.weights:,}",
            f"{summary.bits_per_weight:.3f}",
            format_bytes(summary.packed_bytes),
            _decibels(summary.sqnr_db),
            _decibels(None if summary.worst is None else summary.worst.sqnr_db),
        )
    return table


def plot_layers(entries: Sequence[LayerEntry], path: Path, title: str) -> None:
    """Draw size and error of every layer, one above the other.

    Args:
        entries: The layers, in the model's order.
        path: File to write; its ending decides the format (.png, .svg, .pdf).
        title: Above the plot.

    Raises:
        NVFP4Error: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NVFP4Error(
            "plots need matplotlib: pip install 'nvfp4-ddim-optimizer[plots]'"
        ) from error

    figure = Figure(figsize=(11, 6), layout="constrained")
    sizes, errors = figure.subplots(2, 1, sharex=True)
    components = list(dict.fromkeys(entry.component for entry in entries))
    for number, component in enumerate(components):
        chosen = [(i, entry) for i, entry in enumerate(entries) if entry.component == component]
        places, colour = [i for i, _ in chosen], f"C{number}"
        kilobytes = [_packed_bytes(entry) / 1000 for _, entry in chosen]
        sizes.bar(places, kilobytes, width=1.0, color=colour, label=component)
        decibels = [math.nan if e.sqnr_db is None else e.sqnr_db for _, e in chosen]
        errors.plot(places, decibels, ".", color=colour, label=component)
    sizes.set(ylabel="size in NVFP4, kB", yscale="log", title=title)
    errors.set(ylabel="SQNR, dB (higher is better)", xlabel="layer, in the model's order")
    errors.grid(axis="y", alpha=0.3)
    sizes.legend()
    figure.savefig(path, dpi=120)


def format_bytes(count: float) -> str:
    """A size for people, in powers of 1000 as disks are sold."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.2f} GB"


def _decibels(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _weights(entry: LayerEntry) -> int:
    return math.prod(entry.shape)


def _packed_bytes(entry: LayerEntry) -> float:
    return _weights(entry) * entry.bits_per_weight / 8

"""Which layers are worth quantising: each layer of the UNet in NVFP4 alone, and whole policies.

The error is that of the UNet's output, relative to the output in full precision, on pictures noised
to five DDIM timesteps. `nn.policy.LayerPolicy` follows from what is found here.

Run: python -m benchmarks.sensitivity   (after python -m training.emoji_data)
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from benchmarks.claims import DOCS, Claim, write_claims
from benchmarks.evaluation.plots import plot_sensitivity
from benchmarks.evaluation.sensitivity import (
    POLICIES,
    SensitivityResults,
    layer_names,
    measure_layer,
    measure_policy,
    summarise,
)
from benchmarks.evaluation.subjects import SUBJECTS, Sources, Subject, open_subjects
from benchmarks.evaluation.weight_formats import preset_format
from nvfp4_ddim_contracts import Preset

__all__ = ["main"]

COMMAND = "python -m benchmarks.sensitivity"


def _measure(subject: Subject) -> SensitivityResults:
    chosen = preset_format(Preset.BALANCED)
    exact = subject.probe()
    layers = [
        measure_layer(subject, name, chosen, exact)
        for name in track(layer_names(subject), description=subject.name)
    ]
    policies = [measure_policy(subject, name, chosen, exact) for name in POLICIES]
    return SensitivityResults(subject.name, chosen.title, layers, policies)


def _claims(results: SensitivityResults) -> Iterator[Claim]:
    prefix = f"{results.subject}_".replace("-", "_")
    for summary in summarise(results.layers):
        kept = "kept by the default policy" if summary.kept else "quantised by the default policy"
        yield Claim(
            f"{prefix}error_of_{_identifier(summary.kind)}",
            summary.output_error,
            "",
            None,
            "lower",
            f"{summary.layers} layers, {kept}: {summary.bytes_saved / 1e6:.3f} MB saved, "
            f"{summary.squared_error_per_megabyte:.2g} squared error a MB",
        )
    for found in results.policies:
        yield Claim(
            f"{prefix}error_of_policy_{_identifier(found.policy)}",
            found.output_error,
            "",
            None,
            "lower",
            f"{results.weight_format}, whole model: {found.stored_bytes / 1e6:.3f} MB stored",
        )


def _identifier(words: str) -> str:
    return words.replace(",", "").replace("-", "_").replace(" ", "_").lower()


def main(
    subject: Annotated[list[str] | None, typer.Option(help="Models; all by default.")] = None,
    digits: Annotated[Path, typer.Option(help="ddpm_mnist_starter.pth.")] = Sources.digits,
    digit_images: Annotated[
        Path, typer.Option(help="t10k-images-idx3-ubyte.gz.")
    ] = Sources.digit_images,
) -> None:
    """Measure and write the claims, all layers, and the plot."""
    sources = Sources(digits=digits, digit_images=digit_images)
    opened = open_subjects(subject or list(SUBJECTS), sources, typer.echo)
    results = [_measure(found) for found in opened]
    path = write_claims(
        "sensitivity", COMMAND, [claim for found in results for claim in _claims(found)]
    )
    data = DOCS / "data" / "sensitivity.json"
    data.parent.mkdir(parents=True, exist_ok=True)
    data.write_text(json.dumps([asdict(found) for found in results], indent=2) + "\n")
    plot_sensitivity(results, DOCS / "sensitivity.png")
    typer.echo(f"-> {path}")


if __name__ == "__main__":
    typer.run(main)

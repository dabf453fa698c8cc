"""What NVFP4 does to pictures: full precision against NVFP4 and other 4-bit formats, paired.

Sampling takes hours on a small machine. It can stop at any time and goes on where it was; several
processes share the work, one for each core:

    python -m benchmarks.quality sample     (after python -m training.emoji_data)
    python -m benchmarks.quality report

`report` writes docs/benchmarks/quality.json, every number into docs/benchmarks/data/quality.json,
and plots; it uses the sets that are complete by then.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from benchmarks.claims import DOCS, Claim, write_claims
from benchmarks.evaluation.comparison import Comparison, Judge
from benchmarks.evaluation.noising import relative_error
from benchmarks.evaluation.plots import plot_formats, plot_steps
from benchmarks.evaluation.results import FormatResult, Results, claims_of
from benchmarks.evaluation.samples import SampleSet, SampleStore, SetKey
from benchmarks.evaluation.schedule import REFERENCE_STEPS, STEPS, SURVEY_STEPS, Job, jobs
from benchmarks.evaluation.subjects import SUBJECTS, Seeds, Sources, Subject, open_subjects
from benchmarks.evaluation.swapping import swapped
from benchmarks.evaluation.weight_formats import FORMATS, FULL_PRECISION
from nvfp4_ddim_optimizer.nn import LayerPolicy

__all__ = ["main"]

main = typer.Typer(help=__doc__, no_args_is_help=True)

COMMAND = "python -m benchmarks.quality sample && python -m benchmarks.quality report"
WORK = Path("out/quality")
# Sums in another order could calibrate to other weights, whose samples would not be found again.
_THREADS = 1

Names = Annotated[list[str] | None, typer.Option("--subject", help="Models; all by default.")]
Work = Annotated[Path, typer.Option(help="Where sets of samples are kept.")]
Digits = Annotated[Path, typer.Option(help="Checkpoint ddpm_mnist_starter.pth.")]
DigitImages = Annotated[Path, typer.Option(help="MNIST's t10k-images-idx3-ubyte.gz.")]


class _Progress:
    """Says how far sampling is, in sample-steps: one sample through the UNet once."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._start = time.monotonic()

    def add(self, sample_steps: int, label: str) -> None:
        self._done += sample_steps
        pace = (time.monotonic() - self._start) / self._done
        hours = pace * (self._total - self._done) / 3600
        typer.echo(
            f"{time.strftime('%H:%M:%S')} {label}: {100 * self._done / self._total:.1f} %, "
            f"{1000 * pace:.0f} ms a sample and step, {hours:.1f} h left"
        )


@main.command()
def sample(
    subject: Names = None,
    work: Work = WORK,
    digits: Digits = Sources.digits,
    digit_images: DigitImages = Sources.digit_images,
) -> None:
    """Make the sets of samples that are missing."""
    store = SampleStore(work)
    sources = Sources(digits=digits, digit_images=digit_images)
    for opened in open_subjects(subject or list(SUBJECTS), sources, typer.echo):
        _sample_all(opened, store)


def _sample_all(subject: Subject, store: SampleStore) -> None:
    torch.set_num_threads(_THREADS)
    wanted = jobs(subject)
    digests = _digests(subject, {job.weight_format.name for job in wanted})
    missing = {
        job: store.missing(subject, _key(digests[job.weight_format.name], job), job.count)
        for job in wanted
    }
    progress = _Progress(sum(count * job.steps for job, count in missing.items()))
    for job in wanted:
        if not missing[job]:
            continue
        label = (
            f"{subject.name} {job.weight_format.name}, {job.steps} steps, {job.seed.name.lower()}"
        )

        def on_part(count: int, job: Job = job, label: str = label) -> None:
            progress.add(count * job.steps, label)

        with swapped(subject, job.weight_format, LayerPolicy()) as cost:
            store.make(subject, _key(cost.digest, job), job.count, on_part)


def _key(digest: str, job: Job) -> SetKey:
    return SetKey(digest, job.steps, job.seed)


def _digests(subject: Subject, names: set[str]) -> dict[str, str]:
    found = {}
    for name in names:
        with swapped(subject, FORMATS[name], LayerPolicy()) as cost:
            found[name] = cost.digest
    return found


@main.command()
def report(
    subject: Names = None,
    work: Work = WORK,
    digits: Digits = Sources.digits,
    digit_images: DigitImages = Sources.digit_images,
) -> None:
    """Compare the complete sets and write the claims, the table and the plots."""
    store = SampleStore(work)
    sources = Sources(digits=digits, digit_images=digit_images)
    subjects = open_subjects(subject or list(SUBJECTS), sources, typer.echo)
    results = [_results(opened, store) for opened in subjects]
    claims: list[Claim] = [claim for found in results for claim in claims_of(found)]
    path = write_claims("quality", COMMAND, claims)
    data = DOCS / "data" / "quality.json"
    data.parent.mkdir(parents=True, exist_ok=True)
    data.write_text(json.dumps([_document(found) for found in results], indent=2) + "\n")
    plot_formats(results, DOCS / "quality_formats.png")
    plot_steps(results, DOCS / "quality_steps.png")
    typer.echo(f"{len(claims)} claims -> {path}")


def _results(subject: Subject, store: SampleStore) -> Results:
    torch.set_num_threads(_THREADS)
    exact_outputs = subject.probe()
    costs = {}
    for name, known in FORMATS.items():
        with swapped(subject, known, LayerPolicy()) as cost:
            error = relative_error(exact_outputs, subject.probe())
            costs[name] = FormatResult(known, cost, error)
            typer.echo(f"{subject.name} {name}: {cost}, output error {error:.4f}")
    judge = Judge(store.reference(subject))

    def read(name: str, steps: int, seed: Seeds = Seeds.PAIRED) -> SampleSet | None:
        digest = costs[name].cost.digest
        for count in (subject.full_count, subject.survey_count):
            found = store.read(subject, SetKey(digest, steps, seed), count)
            if found is not None:
                return found
        return None

    exact = {steps: read(FULL_PRECISION.name, steps) for steps in (*STEPS, REFERENCE_STEPS)}
    comparisons: dict[tuple[str, int], Comparison] = {}
    for name in FORMATS:
        for steps in STEPS:
            one, other = exact[steps], read(name, steps)
            if name != FULL_PRECISION.name and one is not None and other is not None:
                comparisons[name, steps] = judge.compare(one, other)
                typer.echo(f"{subject.name} {name} {steps}: {comparisons[name, steps]}")
    chance = read(FULL_PRECISION.name, SURVEY_STEPS, Seeds.OTHER)
    paired, longest = exact[SURVEY_STEPS], exact[REFERENCE_STEPS]
    return Results(
        subject=subject.name,
        formats=costs,
        comparisons=comparisons,
        chance=judge.compare(paired, chance) if paired and chance else None,
        frechet_fp={steps: judge.frechet(one) for steps, one in exact.items() if one},
        curve={
            steps: judge.compare(longest, one)
            for steps, one in exact.items()
            if one and longest and steps != REFERENCE_STEPS
        },
    )


def _document(found: Results) -> dict[str, Any]:
    return {
        "subject": found.subject,
        "formats": {
            name: {
                "title": result.weight_format.title,
                **asdict(result.cost),
                "output_error": result.output_error,
            }
            for name, result in found.formats.items()
        },
        "comparisons": [
            {"format": name, "steps": steps, **asdict(comparison)}
            for (name, steps), comparison in found.comparisons.items()
        ],
        "other_start_noise": asdict(found.chance) if found.chance else None,
        "full_precision_frechet_by_steps": found.frechet_fp,
        "full_precision_against_100_steps": {
            steps: asdict(comparison) for steps, comparison in found.curve.items()
        },
    }


if __name__ == "__main__":
    main()

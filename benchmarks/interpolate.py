"""Interpolation of surface temperature between fields twelve hours apart, on times held out.

Each field from `--first` on is predicted from its two neighbours, six hours before and after, and
scored against itself. The fields before `--first` give the mean diurnal residual that the strongest
baseline adds to linear interpolation; in the file that the model was trained on these are its
training days.

Run: python -m benchmarks.interpolate --data FILE.npz   (see benchmarks.uses.climate_data)
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.claims import DOCS, Claim, write_claims
from benchmarks.uses.climate_data import Array, Case, Fields, baselines, cases, load_fields
from benchmarks.uses.climate_plots import plot_maps, plot_spectra
from benchmarks.uses.climate_scores import bands, crps, rmse, zonal_spectrum
from benchmarks.uses.measured_process import run_measured
from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.artifacts.layout import MODEL_INDEX_NAME
from nvfp4_ddim_optimizer.task_files import load_task_model
from nvfp4_ddim_optimizer.tasks.interpolate import ClimateInterpolator, InterpolateTask

__all__ = ["main"]

COMMAND = "python -m benchmarks.interpolate --data DATA"
BAR, LINEAR, REGRESSION = "linear + diurnal residual", "linear", "regression alone"
STEPS = (10, 20, 50)
MODELS = ("full precision", "NVFP4")
MAIN = "NVFP4, 20 steps"


@dataclass
class Tally:
    """What one method gave, case by case.

    Attributes:
        mean: Best single fields [H, W].
        members: Ensembles [M, H, W]; of a baseline the field itself.
    """

    mean: list[Array] = field(default_factory=list)
    members: list[Array] = field(default_factory=list)

    def add(self, mean: Array, members: Array) -> None:
        """One more case."""
        self.mean.append(mean)
        self.members.append(members)


@dataclass(frozen=True)
class Scores:
    """Scores of one method over all cases, in kelvins but for the spectra, in percent."""

    rmse: float
    rmse_unweighted: float
    crps: float
    bias: float
    global_mean_error: float
    rmse_ensemble: float
    rmse_member: float
    spread: float
    spectrum_percent: float
    wavenumber_percent: float
    departure_percent: float


def _full_precision(directory: Path) -> ClimateInterpolator:
    index = json.loads((directory / MODEL_INDEX_NAME).read_text())
    return ClimateInterpolator(load_task_model(directory, index))


def _quantised(name: str) -> ClimateInterpolator:
    task = OptimizationPipeline.from_preset(name, "quality").task("interpolate")
    if not isinstance(task, InterpolateTask):
        raise typer.BadParameter(f"{name} does not interpolate fields")
    return task.interpolator


def _predict(
    interpolator: ClimateInterpolator, steps: int, members: int
) -> Callable[[Case], tuple[Array, Array]]:
    def predict(case: Case) -> tuple[Array, Array]:
        frames = interpolator.interpolate(
            case.states,
            (0.5,),
            members=members,
            num_inference_steps=steps,
            seed=1000 * case.index,
        )
        return frames.mean[0], frames.members[:, 0].astype(np.float64)

    return predict


def _members_at(steps: int, members: int) -> int:
    """Size of the ensemble: other steps than 20 are there for comparison only."""
    return members if steps == 20 else max(2, members // 2)


def _deviation(candidate: Array, truth: Array) -> float:
    """Largest departure from the truth's power in any band of half an octave, in percent."""
    pairs = zip(bands(candidate), bands(truth), strict=True)
    return 100 * max(abs(ours[2] / theirs[2] - 1) for ours, theirs in pairs)


def _score(tally: Tally, chosen: list[Case], weights: Array) -> Scores:
    truth = np.stack([case.truth for case in chosen])
    linear = np.stack([0.5 * (case.states.start + case.states.end) for case in chosen])
    mean, members = np.stack(tally.mean), np.stack(tally.members, axis=1)
    errors = mean - truth
    means = (errors * weights).mean(axis=(1, 2))
    spread = members.std(axis=0, ddof=1) if len(members) > 1 else np.zeros_like(truth)
    spectrum, wanted = zonal_spectrum(members, weights), zonal_spectrum(truth, weights)
    return Scores(
        rmse=rmse(errors, weights),
        rmse_unweighted=float(np.sqrt((errors**2).mean())),
        crps=crps(members, truth, weights),
        bias=float(means.mean()),
        global_mean_error=float(np.abs(means).max()),
        rmse_ensemble=rmse(members.mean(axis=0) - truth, weights),
        rmse_member=rmse(members - truth, weights),
        spread=rmse(spread, weights),
        spectrum_percent=_deviation(spectrum, wanted),
        wavenumber_percent=100 * float(np.abs(spectrum / wanted - 1).max()),
        departure_percent=_deviation(
            zonal_spectrum(members - linear, weights), zonal_spectrum(truth - linear, weights)
        ),
    )


def _show(scores: dict[str, Scores], count: int) -> None:
    table = Table(
        title=f"{count} fields held out, 12 h between the states; K unless said otherwise"
    )
    for heading in (
        "method",
        "RMSE",
        "not weighted",
        "CRPS",
        "bias",
        "global mean, worst",
        "RMSE ensemble mean",
        "RMSE member",
        "spread",
        "spectrum, worst %",
        "departure's, worst %",
    ):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for name, s in scores.items():
        values = (s.rmse, s.rmse_unweighted, s.crps, s.bias, s.global_mean_error)
        ensemble = (s.rmse_ensemble, s.rmse_member, s.spread)
        table.add_row(
            name,
            *(f"{v:.3f}" for v in (*values, *ensemble)),
            f"{s.spectrum_percent:.1f}",
            f"{s.departure_percent:.0f}",
        )
    Console(width=150).print(table)


def _cost(artifact: str, threads: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.uses.climate_cost", artifact, "20", str(threads)]
    run = run_measured(command)
    found: dict[str, float] = json.loads(run.output.splitlines()[-1])
    return {**found, "peak_bytes": run.peak_bytes}


def _claims(
    scores: dict[str, Scores], count: int, members: int, cost: dict[str, float]
) -> list[Claim]:
    ours, linear = scores[MAIN], scores[LINEAR]
    note = f"{count} fields held out, area-weighted, {MAIN}"
    claims = [
        Claim(
            "rmse_reduction_vs_linear_percent",
            100 * (1 - ours.rmse / linear.rmse),
            "%",
            60,
            "higher",
            f"{note}: {ours.rmse:.3f} K instead of {linear.rmse:.3f} K, of which the regression "
            f"alone reaches {scores[REGRESSION].rmse:.3f} K; tried: see the model card",
        ),
        Claim(
            "spectrum_deviation_percent",
            ours.spectrum_percent,
            "%",
            5,
            "lower",
            f"worst band of half an octave, {members} members; linear interpolation "
            f"{linear.spectrum_percent:.1f} %",
        ),
        Claim(
            "seconds_20_steps",
            cost["seconds"],
            "s",
            5,
            "lower",
            f"one frame, one member, {cost['threads']:.0f} threads",
        ),
        Claim("peak_bytes", cost["peak_bytes"], "bytes", None, "lower", "whole process"),
    ]
    if BAR in scores:
        bar = scores[BAR]
        claims.insert(
            1,
            Claim(
                "rmse_reduction_vs_diurnal_percent",
                100 * (1 - ours.rmse / bar.rmse),
                "%",
                10,
                "higher",
                f"{note}: {ours.rmse:.3f} K instead of {bar.rmse:.3f} K",
            ),
        )
    sizes = {f"{model}, {n} steps": _members_at(n, members) for model in MODELS for n in STEPS}
    for name, s in scores.items():
        size = f", {sizes[name]} members" if name in sizes else ""
        for key, unit, what in (
            ("rmse", "K", "root mean square error"),
            ("rmse_unweighted", "K", "the same, all cells alike"),
            ("crps", "K", "continuous ranked probability score, fair"),
            ("bias", "K", "mean error"),
            ("global_mean_error", "K", "worst error of a global mean"),
            ("spread", "K", "root mean square of the ensemble's standard deviation"),
            ("spectrum_percent", "%", "worst band of the spectrum"),
            ("wavenumber_percent", "%", "worst single wavenumber of the spectrum"),
            ("departure_percent", "%", "the same of the departure from linear"),
        ):
            slug = name.lower().translate(str.maketrans({" ": "_", ",": None, "+": "and"}))
            slug = slug.replace("(", "").replace(")", "")
            claims.append(
                Claim(
                    f"{key}_{slug}",
                    getattr(s, key),
                    unit,
                    None,
                    "lower",
                    f"{name}{size}: {what}",
                    name,
                )
            )
    return claims


def _pictures(tallies: dict[str, Tally], chosen: list[Case], weights: Array, docs: Path) -> None:
    truth = np.stack([case.truth for case in chosen])
    linear = np.stack([0.5 * (case.states.start + case.states.end) for case in chosen])
    shown = [name for name in (LINEAR, BAR) if name in tallies]
    fields = {name: np.stack(tallies[name].mean) for name in shown}
    fields |= {"mean": np.stack(tallies[MAIN].mean)}
    fields |= {"members": np.stack(tallies[MAIN].members, axis=1)}
    spectra = {"truth": zonal_spectrum(truth, weights)}
    departures = {"truth": zonal_spectrum(truth - linear, weights)}
    for name, values in fields.items():
        spectra[name] = zonal_spectrum(values, weights)
        departures[name] = zonal_spectrum(values - linear, weights)
    plot_spectra(spectra, departures, docs / "interpolate_spectrum.png")
    at, case = len(chosen) // 2, chosen[len(chosen) // 2]
    ensemble = tallies[MAIN].members[at]
    maps = {
        "truth - linear": (case.truth - linear[at], 6.0),
        "mean - linear": (tallies[MAIN].mean[at] - linear[at], 6.0),
        "one member - linear": (ensemble[0] - linear[at], 6.0),
    }
    if BAR in tallies:
        maps["diurnal residual: error"] = (tallies[BAR].mean[at] - case.truth, 3.0)
    maps["mean: error"] = (tallies[MAIN].mean[at] - case.truth, 3.0)
    maps["spread of the ensemble"] = (ensemble.std(axis=0, ddof=1), 3.0)
    plot_maps(maps, case.states.grid.latitudes, docs / "interpolate_maps.png")


def main(
    *,
    data: Annotated[Path, typer.Option(help="npz of six-hourly fields, or a directory of them.")],
    first: Annotated[int, typer.Option(min=1, help="First field to predict, in each file.")] = 20,
    model: Annotated[Path, typer.Option(help="Full precision.")] = Path("models/climate-6h"),
    artifact: Annotated[str, typer.Option(help="NVFP4: name or directory.")] = "climate-6h",
    members: Annotated[
        int, typer.Option(min=2, help="Of the ensemble at 20 steps; 10 and 50 have half of them.")
    ] = 4,
    threads: Annotated[int, typer.Option(min=1, help="For the time of one frame.")] = 2,
    docs: Annotated[Path, typer.Option(help="Where claims and pictures go.")] = DOCS,
) -> None:
    """Measure, write the claims and the pictures."""
    series = load_fields(data)
    found: list[tuple[Fields, Case]] = [(s, case) for s in series for case in cases(s, first)]
    if not found:
        raise typer.BadParameter(f"no field from number {first} on has two neighbours")
    if len({s.grid.shape for s in series}) > 1:
        raise typer.BadParameter("the files lie on different grids: evaluate them one by one")
    chosen, weights = [case for _, case in found], series[0].grid.area_weights()
    tallies: dict[str, Tally] = {}
    for fields, case in found:
        for name, prediction in baselines(fields, case, first).items():
            tallies.setdefault(name, Tally()).add(prediction, prediction[None])
    models = dict(zip(MODELS, (_full_precision(model), _quantised(artifact)), strict=True))
    for case in chosen:
        regression = models["NVFP4"].expected(case.states, 0.5)
        tallies.setdefault(REGRESSION, Tally()).add(regression, regression[None])
    for name, interpolator in models.items():
        for steps in STEPS:
            predict = _predict(interpolator, steps, _members_at(steps, members))
            label = f"{name}, {steps} steps"
            for case in track(chosen, description=label):
                tallies.setdefault(label, Tally()).add(*predict(case))
    scores = {
        name: _score(tally, chosen, weights)
        for name, tally in tallies.items()
        if len(tally.mean) == len(chosen)
    }
    # Cubic interpolation needs four fields, which the last case has not.
    for name in set(tallies) - set(scores):
        partial = [c for c in chosen if c.index + 2 < len(series[0].values)]
        if len(series) == 1 and len(partial) == len(tallies[name].mean):
            scores[f"{name}, {len(partial)} fields"] = _score(tallies[name], partial, weights)
    _show(scores, len(chosen))
    cost = _cost(artifact, threads) | {"threads": float(threads)}
    _pictures(tallies, chosen, weights, docs)
    path = write_claims("interpolate", COMMAND, _claims(scores, len(chosen), members, cost), docs)
    typer.echo(f"{cost}\n-> {path}")


if __name__ == "__main__":
    typer.run(main)

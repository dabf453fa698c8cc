"""Fit the regression of the conditional mean, out of fold by day and on all training days.

Ridge regression on `regression.features`, all places together, weighted by area. Triples of 18 and
24 hours count less than those of 12: they are there so that other spans and fractions are known.

Writes what the diffusion model needs: for every training triple its residual out of fold, the
conditioning channels, and the tables that ship.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from nvfp4_ddim_optimizer.tasks.interpolate.climatology import Climatology
from nvfp4_ddim_optimizer.tasks.interpolate.conditioning import condition, error_growth
from nvfp4_ddim_optimizer.tasks.interpolate.regression import Moment, features
from training.common import log_line
from training.interpolate.data import (
    FIELDS_PER_DAY,
    TRAINING_DAYS,
    Series,
    Triple,
    fields_of,
    triples,
)

__all__ = ["OutOfFold", "error_scale", "fit", "out_of_fold"]

# Weight of a triple by its length in fields, and the ridge penalty: leave-one-day-out on the
# training days is flat around these.
SPAN_WEIGHTS = {2: 1.0, 3: 0.3, 4: 0.1}
PENALTY = 5e-3
# Variances of single places, from 18 errors each, are drawn to their surroundings' as if those
# were this many errors more.
PRIOR_ERRORS = 6
SCALE_FLOOR_KELVIN = 0.02


@dataclass(frozen=True)
class OutOfFold:
    """A triple predicted by a regression that has not seen its day.

    Attributes:
        triple: Which.
        moment: End states and climatology, as that regression had them.
        correction: [H, W] kelvins.
        residual: [H, W] kelvins: truth minus linear, diurnal cycle and correction.
    """

    triple: Triple
    moment: Moment
    correction: Tensor
    residual: Tensor


def fit(series: Series, allowed: list[int]) -> Tensor:
    """Coefficients w [K] from every triple inside the allowed fields."""
    area = torch.from_numpy(series.grid.area_weights()).float().flatten()
    gram, moments, total = torch.zeros(()), torch.zeros(()), 0.0
    for triple in triples(allowed):
        moment = series.moment(triple, series.climatology(allowed, triple))
        phi = (features(moment) * moment.bridge).flatten(1)
        target = (series.fields[triple.target] - moment.linear - moment.diurnal).flatten()
        weighted = phi * area * SPAN_WEIGHTS[triple.last - triple.first]
        gram = gram + (weighted @ phi.T).double()
        moments = moments + (weighted @ target).double()
        total += float(area.sum()) * SPAN_WEIGHTS[triple.last - triple.first]
    gram, moments = gram / total, moments / total
    size = gram.diagonal().sqrt() + 1e-9
    normal = gram / size[:, None] / size + PENALTY * torch.eye(len(size), dtype=torch.double)
    return (torch.linalg.solve(normal, moments / size) / size).float()


def correct(moment: Moment, coefficients: Tensor) -> Tensor:
    """b sum_k w_k phi_k, [H, W]."""
    return moment.bridge * torch.einsum("k,khw->hw", coefficients, features(moment))


def out_of_fold(series: Series) -> list[OutOfFold]:
    """Every triple of the training days, predicted without the day of its target."""
    predicted = []
    every = triples(fields_of(TRAINING_DAYS))
    for day in TRAINING_DAYS:
        allowed = fields_of(other for other in TRAINING_DAYS if other != day)
        climatology, coefficients = series.climatology(allowed), fit(series, allowed)
        for triple in every:
            if triple.target // FIELDS_PER_DAY != day:
                continue
            moment = series.moment(triple, climatology)
            correction = correct(moment, coefficients)
            truth = series.fields[triple.target]
            residual = truth - moment.linear - moment.diurnal - correction
            predicted.append(OutOfFold(triple, moment, correction, residual))
    return predicted


def error_scale(predicted: list[OutOfFold]) -> Tensor:
    """[H, W]: standard deviation of the error in the middle of 12 hours, smoothed a little."""
    errors = torch.stack([p.residual for p in predicted if p.triple.last - p.triple.first == 2])
    variance = errors.square().mean(0)
    around = torch.nn.functional.pad(variance[None, None], (2, 2, 0, 0), mode="circular")
    around = torch.nn.functional.pad(around, (0, 0, 2, 2), mode="replicate")
    around = torch.nn.functional.avg_pool2d(around, 5, stride=1)[0, 0]
    count = len(errors)
    shrunk = (count * variance + PRIOR_ERRORS * around) / (count + PRIOR_ERRORS)
    return shrunk.sqrt().clamp_min(SCALE_FLOOR_KELVIN)


def _report(series: Series, predicted: list[OutOfFold], log: Path) -> None:
    area = torch.from_numpy(series.grid.area_weights()).float()
    for span in SPAN_WEIGHTS:
        chosen = [p for p in predicted if p.triple.last - p.triple.first == span]
        diurnal = torch.stack([p.residual + p.correction for p in chosen])
        final = torch.stack([p.residual for p in chosen])
        grown = torch.tensor([error_growth(p.moment) for p in chosen]).square().mean().sqrt()
        rmse = [float((area * e.square()).mean().sqrt()) for e in (diurnal, final)]
        log_line(
            log,
            f"{6 * span} h: RMSE diurnal {rmse[0]:.4f}, regression {rmse[1]:.4f} K, "
            f"regression / growth {rmse[1] / float(grown):.4f}",
        )


def main(
    data: Annotated[Path, typer.Option(help="npz with tC [N, H, W], six-hourly")],
    run: Annotated[Path, typer.Option(help="output folder")] = Path("training/runs/interpolate"),
) -> None:
    """Fit, and write prepared.pt: tables to ship, and the diffusion model's training set."""
    run.mkdir(parents=True, exist_ok=True)
    series = Series.load(data)
    allowed = fields_of(TRAINING_DAYS)
    predicted = out_of_fold(series)
    _report(series, predicted, run / "regression.log")
    scale = error_scale(predicted)
    latitudes = torch.from_numpy(series.grid.latitudes).float()
    conditions = [condition(p.moment, p.correction, scale, latitudes) for p in predicted]
    units = [p.residual / (scale * error_growth(p.moment)) for p in predicted]
    climatology: Climatology = series.climatology(allowed)
    torch.save(
        {
            "triples": torch.tensor(
                [[p.triple.first, p.triple.target, p.triple.last] for p in predicted]
            ),
            "conditions": torch.stack(conditions),
            "residuals": torch.stack(units),
            "scale": scale,
            "climatology": climatology.fields,
            "coefficients": fit(series, allowed),
            "latitudes": latitudes,
            "longitudes": torch.from_numpy(series.grid.longitudes).float(),
        },
        run / "prepared.pt",
    )


if __name__ == "__main__":
    typer.run(main)

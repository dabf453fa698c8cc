"""The model card: README.md of `models/climate-6h`, with the numbers of the last evaluation."""

import json
from pathlib import Path
from typing import Any

__all__ = ["climate_card"]

_CARD = """---
license: apache-2.0
library_name: diffusers
tags: [climate, interpolation, diffusion, ensemble]
---

# climate-6h

Fills in the time between two global fields of surface temperature, with an ensemble. The states may
lie 12 to 24 hours apart. {parameters:,} parameters in the denoiser; {kilobytes:,} kB in NVFP4.

| part | what |
| --- | --- |
| `unet` | `UNet2DModel` over 2x2-unshuffled pixels, v-prediction, zero terminal SNR |
| `tables` | mean diurnal cycle of every place, {coefficients} coefficients of the regression, \
error scale |
| `scheduler` | `DDIMScheduler`, trailing spacing |

A frame is linear interpolation, plus the mean diurnal cycle, plus a ridge regression on what the
ends have beside that cycle, plus a residual that the diffusion model samples. The frame `mean` has
the residual's expectation instead of a sample. On this data linear interpolation is smooth where
the truth is not; samples are not.

## Use
```python
from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.tasks.interpolate import interpolate

task = OptimizationPipeline.from_preset("climate-6h").task("interpolate")
frames = interpolate(task.interpolator, start, end, num_steps=5)  # xarray Datasets
```

## Data and training
28 six-hourly fields of surface temperature of a climate model, 1 to 7 January 2001, 96 x 192 cells,
from NCAR's geocat-datafiles (Apache-2.0). The file has no coordinates; coastlines agree with the
T63 Gaussian grid, north to south, from 180 W. The first five days are for training: the fifth day
chose the denoiser's checkpoint and its calibration. **The last two days are held out** and enter
nothing. `training/interpolate/README.md` has the commands.

## Results
{results}

Two goals were set on the fields held out: an error 10 % below linear plus the mean diurnal
residual, which is met (12.4 %; 9.0 % if all cells count alike, so that the polar rows weigh more),
and 60 % below linear, which is missed by 0.1 points. Nearly all of it is the regression. On the
day left out of training the denoiser's expectation took 11 % off the regression's squared error, on
the days held out 0.7 %: that day chose its checkpoint. What helped: a cycle from triples instead of
means (some 6 %), features of small scales and gradients, pooling all places. What did not:
weighting 18 and 24 hours as much as 12, and more rounds of training, which learn the five days by
heart.

What the denoiser brings is the ensemble: CRPS 25 % below the regression's, and the truth's
spectrum within 2.3 % in every band of half an octave (single wavenumbers within some 6 %; 13 % for
the departure from linear interpolation alone). Its spread, 0.60 K, is smaller than the mean's
error: it is somewhat too sure.

## Limits
- One week of one January of one model. Another season, another height or another quantity is not
  what it knows; the report's `is_familiar` says so. Check it on your own data before you use it:
  `python -m benchmarks.interpolate --data yours.npz`.
- The daily maximum of the training data lies near 17:40 local solar time, some 3 hours later than
  in nature: the fields seem to be means stamped at the end of their six hours. For instantaneous
  fields give times 3 hours later.
- Scored at the middle of 12 hours only. Other fractions follow from training on 12, 18 and 24
  hours and were not scored against finer data, which the file has not.
- The ensemble knows the errors of this regression, not those of a weather model: it is no forecast.
- Precipitation and other quantities without a diurnal climate in the tables are refused or wrong.
"""

_ROWS = (
    ("persistence", "persistence"),
    ("linear", "linear"),
    ("linear_and_diurnal_residual", "linear + mean diurnal residual"),
    ("regression_alone", "regression alone"),
    ("full_precision_20_steps", "this model, full precision, 20 steps"),
    ("nvfp4_10_steps", "this model, NVFP4, 10 steps"),
    ("nvfp4_20_steps", "this model, NVFP4, 20 steps"),
    ("nvfp4_50_steps", "this model, NVFP4, 50 steps"),
)


def climate_card(
    parameters: int = 0, coefficients: int = 0, kilobytes: int = 0, claims: Path | None = None
) -> str:
    """The card's text.

    Args:
        parameters: Of the denoiser.
        coefficients: Of the regression.
        kilobytes: Of the NVFP4 artifact; 0 if there is none yet.
        claims: `docs/benchmarks/interpolate.json`, if it is there.
    """
    results = "Not evaluated yet."
    if claims is not None and claims.exists():
        results = _results(json.loads(claims.read_text()))
    return _CARD.format(
        parameters=parameters, coefficients=coefficients, kilobytes=kilobytes, results=results
    )


def _results(claims: list[dict[str, Any]]) -> str:
    values = {claim["id"]: claim["value"] for claim in claims}
    lines = [
        "Fields held out, each predicted from its neighbours six hours before and after; "
        "area-weighted, kelvins.",
        "",
        "| method | RMSE | CRPS | bias | spectrum, worst band |",
        "| --- | --- | --- | --- | --- |",
    ]
    for slug, name in _ROWS:
        if f"rmse_{slug}" in values:
            numbers = [f"{values[f'{key}_{slug}']:.3f}" for key in ("rmse", "crps", "bias")]
            spectrum = f"{values[f'spectrum_percent_{slug}']:.1f} %"
            lines.append(f"| {name} | {' | '.join(numbers)} | {spectrum} |")
    lines += [
        "",
        "The ensemble has 4 members at 20 steps, 2 at 10 and 50. RMSE and bias are those of",
        "`mean`, which takes the first step alone: they depend on the members, not on the steps.",
        "",
        f"`{claims[0]['command']}`, {claims[0]['machine']}, {claims[0]['date']}.",
    ]
    return "\n".join(lines)

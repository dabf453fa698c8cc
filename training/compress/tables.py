"""The trained entropy model in whole numbers, and frequency tables counted on training crops."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvfp4_ddim_optimizer.tasks.compress.entropy_model import (
    LARGEST_STEP,
    LATENT_UNITS,
    SCALE_CLASSES,
    STEPS_PER_OCTAVE,
    step_of,
)
from nvfp4_ddim_optimizer.tasks.compress.latent_coder import LatentCoder
from nvfp4_ddim_optimizer.tasks.compress.stages import GROUPS, HYPER_CHANNELS, STAGES
from nvfp4_ddim_optimizer.tasks.compress.symbols import FREQUENCY_TOTAL
from training.compress.codec import STEP_RANGE, Codec
from training.compress.data import Crops
from training.compress.entropy import SCALE_FLOOR, UNITS, EntropyModel

__all__ = ["entropy_tables"]

Tables = dict[str, NDArray[np.generic]]

FEATURE_UNITS = 256
SCALE_UNITS = 64
LARGEST_WEIGHT = 32767
PRIOR_COUNTS = 400.0
"""How many observations the Laplace distribution is worth against what is counted."""

HYPER_RADIUS = 24
HYPER_COUNTS = 20.0
MAX_RADIUS = 330


def _whole_layer(
    weight: Tensor, bias: Tensor, units_in: NDArray[np.float64], units_out: NDArray[np.float64]
) -> tuple[NDArray[np.int16], NDArray[np.int64], NDArray[np.int32]]:
    """A layer on whole numbers: `units_in` [in] and `units_out` [out] are what 1 stands for."""
    exact = weight.double().numpy() * units_in[None] / units_out[:, None]
    largest = np.abs(exact).max(axis=1).clip(1e-12)
    shift = np.clip(np.floor(np.log2(LARGEST_WEIGHT / largest)), 1, 30)
    whole = np.round(exact * np.exp2(shift)[:, None])
    if np.abs(whole).max() > LARGEST_WEIGHT:
        raise ValueError("a weight of the entropy model does not fit 16 bits")
    whole_bias = np.round(bias.double().numpy() / units_out * np.exp2(shift))
    return whole.astype(np.int16), whole_bias.astype(np.int64), shift.astype(np.int32)


def _add(tables: Tables, name: str, layer: tuple[NDArray[np.generic], ...]) -> None:
    for part, array in zip(("weight", "bias", "shift"), layer, strict=True):
        tables[f"{name}_{part}"] = array


def _networks(model: EntropyModel) -> Tables:
    tables: Tables = {}
    hyper = model.hyper_synthesis
    ones = np.ones(9 * HYPER_CHANNELS)
    units = np.full(hyper.out_channels, 1 / FEATURE_UNITS)
    _add(tables, "hyper", _whole_layer(hyper.weight.flatten(1), hyper.bias, ones, units))
    octave = math.log(2)
    for number, stage in enumerate(STAGES):
        context = model.contexts[number]
        hidden, out = context[0], context[2]
        own = GROUPS[stage.group]
        seen = [1 / UNITS[g] / LATENT_UNITS for g in range(stage.group) for _ in range(GROUPS[g])]
        if stage.index:
            seen += [1 / UNITS[stage.group] / LATENT_UNITS] * own
        plane = octave / STEPS_PER_OCTAVE
        features = [1 / FEATURE_UNITS] * hyper.out_channels
        units_in = np.repeat(np.array([*features, plane, *seen]), 9)
        inner = np.full(hidden.out_channels, 1 / FEATURE_UNITS)
        layer = _whole_layer(hidden.weight.flatten(1), hidden.bias, units_in, inner)
        _add(tables, f"hidden{number}", layer)
        mean_unit = 1 / (UNITS[stage.group] * LATENT_UNITS)
        units_out = np.array([mean_unit] * own + [1 / SCALE_UNITS] * own)
        last = _whole_layer(out.weight.flatten(1), out.bias, inner, units_out)
        _add(tables, f"out{number}", last)
    deviation = torch.round(model.log_deviation * SCALE_UNITS)
    tables["log_deviation"] = deviation.to(torch.int32).numpy()
    return tables


def _frequencies(counts: NDArray[np.float64]) -> NDArray[np.int32]:
    """Whole frequencies, each at least 1, that sum to FREQUENCY_TOTAL."""
    spare = FREQUENCY_TOTAL - len(counts)
    whole = 1 + np.floor(counts / counts.sum() * spare).astype(np.int64)
    whole[np.argmax(whole)] += FREQUENCY_TOTAL - whole.sum()
    return whole.astype(np.int32)


def _laplace(radius: int, scale: float) -> NDArray[np.float64]:
    """Shares of the symbols -radius … radius and of the escape."""
    magnitudes = np.abs(np.arange(-radius, radius + 1)).astype(np.float64)
    tails = 0.5 * np.exp(-(magnitudes - 0.5) / scale) * -np.expm1(-1 / scale)
    inside = np.where(magnitudes == 0, -np.expm1(-0.5 / scale), tails)
    return np.append(inside, max(1e-9, 1 - inside.sum()))


def _scale_radius(index: int) -> int:
    return int(min(MAX_RADIUS, max(2, math.ceil(7 * SCALE_FLOOR * 2 ** (index / 4)))))


def _start_tables(tables: Tables, thresholds: tuple[float, float]) -> Tables:
    """With frequencies that are good enough to quantise with."""
    radii = np.array([_scale_radius(i) for i in range(SCALE_CLASSES)], np.int32)
    shares = [_laplace(int(r), SCALE_FLOOR * 2 ** (i / 4)) for i, r in enumerate(radii)]
    hyper = np.ones(HYPER_CHANNELS * (2 * HYPER_RADIUS + 2), np.int32)
    return tables | {
        "thresholds": np.array(thresholds, np.float32),
        "scale_radii": radii,
        "scale_frequencies": np.concatenate([_frequencies(s) for s in shares]),
        "hyper_radii": np.full(HYPER_CHANNELS, HYPER_RADIUS, np.int32),
        "hyper_frequencies": hyper,
    }


@torch.no_grad()
def entropy_tables(
    codec: Codec, crops: Crops, *, count: int, thresholds: tuple[float, float]
) -> Tables:
    """All tables of the entropy coder.

    Args:
        codec: Trained.
        crops: Training crops to count symbols on.
        count: How many.
        thresholds: Where a magnitude below 1 rounds up to 1, and where in a unit others do.
    """
    tables = _start_tables(_networks(codec.entropy), thresholds)
    coder = LatentCoder(tables)
    radii = [int(r) for r in tables["scale_radii"]]
    seen = [np.zeros(2 * r + 2) for r in radii]
    seen_hyper = np.zeros((HYPER_CHANNELS, 2 * HYPER_RADIUS + 2))
    random = np.random.default_rng(0)
    lowest = math.ceil(-STEPS_PER_OCTAVE * math.log2(STEP_RANGE[1] / LARGEST_STEP))
    highest = math.floor(-STEPS_PER_OCTAVE * math.log2(STEP_RANGE[0] / LARGEST_STEP))
    for _ in range(count):
        index = int(random.integers(lowest, highest + 1))
        y = codec.analysis(crops.batch(1), torch.tensor([math.log(step_of(index))]))
        z = codec.entropy.hyper_analysis(y / 4)[0].round().long().numpy()
        stages, _ = coder.quantise(y[0].double().numpy(), z, index)
        for symbols, classes in stages:
            for each in np.unique(classes):
                _count(symbols[classes == each], seen[each], radii[each])
        for channel in range(HYPER_CHANNELS):
            _count(z[channel].ravel(), seen_hyper[channel], HYPER_RADIUS)
    shares = []
    for index, (radius, counts) in enumerate(zip(radii, seen, strict=True)):
        prior = _laplace(radius, SCALE_FLOOR * 2 ** (index / 4))
        # Deadzone rounding empties the tails: count both signs alike, they are.
        counts[:-1] = (counts[:-1] + counts[-2::-1]) / 2
        shares.append(_frequencies(counts + PRIOR_COUNTS * prior))
    tables["scale_frequencies"] = np.concatenate(shares)
    smooth = [_frequencies(row + HYPER_COUNTS * _laplace(HYPER_RADIUS, 2.0)) for row in seen_hyper]
    tables["hyper_frequencies"] = np.concatenate(smooth)
    return tables


def _count(values: NDArray[np.int64], counts: NDArray[np.float64], radius: int) -> None:
    places = np.where(np.abs(values) > radius, 2 * radius + 1, values + radius)
    counts += np.bincount(places, minlength=len(counts))

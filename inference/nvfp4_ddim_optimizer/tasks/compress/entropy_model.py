"""What the decoder knows about a latent before it is read: mean and scale of every element.

A hyperprior (Ballé et al. 2018, arXiv:1802.01436) and contexts of what is decoded already (Minnen
and Singh 2020, arXiv:2007.08739), in whole numbers. Units: means 1/16 step; features of the
hyper-latent 1/256; logarithms of scales 1/64 octave; steps 1/32 octave.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .integer_network import ACTIVATION_LIMIT, IntegerLayer, Whole, neighbourhoods
from .stages import GROUPS, HYPER_FACTOR, STAGES, Stage, stage_mask

__all__ = [
    "LARGEST_STEP",
    "LATENT_UNITS",
    "MAX_STEP_INDEX",
    "SCALE_CLASSES",
    "STEPS_PER_OCTAVE",
    "EntropyModel",
    "Prediction",
    "step_of",
]

LATENT_UNITS = 16
"""A step of the quantiser, in the units of means."""

LARGEST_STEP = 8.0
"""Step number 0, where the picture's range has length 1."""

MAX_STEP_INDEX = 223
STEPS_PER_OCTAVE = 32
_UNIT_STEP_INDEX = 96
"""Of the step 1, whose logarithm is 0."""

SCALE_CLASSES = 41
"""Scales are 0.05 steps times 2**(class / 4)."""


def step_of(index: int) -> float:
    """The quantiser's step, where the picture's range has length 1."""
    return float(LARGEST_STEP * 2.0 ** (-index / STEPS_PER_OCTAVE))


@dataclass(frozen=True)
class Prediction:
    """Of the elements of one stage, [channels, positions].

    Attributes:
        mean: In units of 1/16 step.
        scale_class: Which frequency table fits.
    """

    mean: Whole
    scale_class: NDArray[np.intp]


class EntropyModel:
    """The integer networks and where their inputs come from."""

    def __init__(self, tables: Mapping[str, NDArray[np.generic]]) -> None:
        """Args: tables: the model's constant tensors, by name."""
        self._hyper = IntegerLayer.of(tables, "hyper")
        self._hidden = [IntegerLayer.of(tables, f"hidden{i}") for i in range(len(STAGES))]
        self._out = [IntegerLayer.of(tables, f"out{i}") for i in range(len(STAGES))]
        deviation = tables["log_deviation"].astype(np.float64)
        self._deviation = np.split(deviation, np.cumsum(GROUPS)[:-1])

    def features(self, z: NDArray[np.int64], height: int, width: int) -> Whole:
        """What every context sees of the hyper-latent z [C, ⌈h/4⌉, ⌈w/4⌉]: [F, h, w]."""
        wide = z.astype(np.float64).repeat(HYPER_FACTOR, axis=1).repeat(HYPER_FACTOR, axis=2)
        rows, columns = (axis.ravel() for axis in np.indices((height, width)))
        patches = neighbourhoods([wide[:, :height, :width]], rows, columns)
        features = np.clip(self._hyper(patches), 0, ACTIVATION_LIMIT)
        return features.reshape(-1, height, width)

    def predict(
        self, number: int, features: Whole, decoded: Whole, step_index: int
    ) -> tuple[Prediction, NDArray[np.intp], NDArray[np.intp]]:
        """Means and scales of a stage.

        Args:
            number: Which of STAGES.
            features: From `features`.
            decoded: [C, h, w], the latent as far as it is decoded in 1/16 step; zero elsewhere.
            step_index: Index of the quantiser's step.

        Returns:
            The prediction, and the rows and columns of its positions.
        """
        stage = STAGES[number]
        height, width = decoded.shape[1:]
        rows, columns = np.nonzero(stage_mask(stage, height, width))
        exponent = float(_UNIT_STEP_INDEX - step_index)
        plane = np.full((1, height, width), exponent)
        patches = neighbourhoods([features, plane, decoded[: _seen(stage)]], rows, columns)
        hidden = np.clip(self._hidden[number](patches), 0, ACTIVATION_LIMIT)
        mean, log_scale = np.split(self._out[number](hidden), 2)
        # 1/64 octave: the network's part, the channel's own deviation, and the step's (2/64 each).
        total = log_scale + self._deviation[stage.group][:, None] - 2.0 * exponent
        classes = np.clip(np.floor((total + 8) / 16), 0, SCALE_CLASSES - 1)
        mean = np.clip(mean, -ACTIVATION_LIMIT, ACTIVATION_LIMIT)
        return Prediction(mean, classes.astype(np.intp)), rows, columns


def _seen(stage: Stage) -> int:
    """How many leading channels a stage's context reads."""
    own = GROUPS[stage.group] if stage.index else 0
    return sum(GROUPS[: stage.group]) + own

"""The order in which a latent is coded: channel groups, and within each, stages of positions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["GROUPS", "HYPER_CHANNELS", "HYPER_FACTOR", "STAGES", "Stage", "stage_mask"]

GROUPS = (8, 16, 24, 48)
"""Channels of each group, low frequencies first."""

HYPER_CHANNELS = 8
HYPER_FACTOR = 4
"""A position of the hyper-latent covers this many of the latent along each axis."""


@dataclass(frozen=True)
class Stage:
    """Some positions of one channel group.

    Attributes:
        group: Number of the channel group.
        index: Which stage of the group this is, from 0.
        parities: (row mod 2, column mod 2) of the positions that it codes.
    """

    group: int
    index: int
    parities: tuple[tuple[int, int], ...]


STAGES = (
    Stage(0, 0, ((0, 0),)),
    Stage(0, 1, ((1, 1),)),
    Stage(0, 2, ((0, 1), (1, 0))),
    Stage(1, 0, ((0, 0), (1, 1))),
    Stage(1, 1, ((0, 1), (1, 0))),
    Stage(2, 0, ((0, 0), (1, 1))),
    Stage(2, 1, ((0, 1), (1, 0))),
    Stage(3, 0, ((0, 0), (0, 1), (1, 0), (1, 1))),
)
"""All stages in coding order."""


def stage_mask(stage: Stage, height: int, width: int) -> NDArray[np.bool_]:
    """Which positions a stage codes, [height, width]."""
    mask = np.zeros((height, width), np.bool_)
    for row, column in stage.parities:
        mask[row::2, column::2] = True
    return mask

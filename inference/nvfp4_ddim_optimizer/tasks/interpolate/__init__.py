"""Interpolation in time: between two fields with a trained model, between two pictures with any.

grid         rectilinear grids of the globe
climatology  the mean diurnal cycle of every place
regression   the conditional mean
conditioning what the denoiser sees
climate      all of them together, with an ensemble
slerp        latents on a great circle; pictures with them
datasets     xarray in and out; reading, files; arrays, numpy
"""

from .arrays import array_states, even_fractions
from .climate import ClimateInterpolator, Frames, States
from .climatology import Climatology
from .datasets import DatasetStates, frames_to_dataset, read_states
from .grid import Grid, gaussian_grid, regrid
from .interpolation import interpolate
from .picture_task import PictureInterpolationTask
from .pictures import interpolate_pictures
from .slerp import invert_ddim, slerp
from .task import InterpolateTask

__all__ = [
    "ClimateInterpolator",
    "Climatology",
    "DatasetStates",
    "Frames",
    "Grid",
    "InterpolateTask",
    "PictureInterpolationTask",
    "States",
    "array_states",
    "even_fractions",
    "frames_to_dataset",
    "gaussian_grid",
    "interpolate",
    "interpolate_pictures",
    "invert_ddim",
    "read_states",
    "regrid",
    "slerp",
]

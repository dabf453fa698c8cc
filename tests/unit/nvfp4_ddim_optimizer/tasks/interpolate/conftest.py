"""A tiny model for fields: 16 x 32 cells, random weights, a made-up climate."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet2DModel

from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_optimizer.networks import Tables
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.interpolate import ClimateInterpolator, States, gaussian_grid
from nvfp4_ddim_optimizer.tasks.interpolate.conditioning import condition_channels
from nvfp4_ddim_optimizer.tasks.interpolate.regression import feature_count

ROWS, COLUMNS = 16, 32


def make_model(**options: Any) -> TaskModel:
    torch.manual_seed(0)
    grid = gaussian_grid(ROWS, COLUMNS)
    latitudes, longitudes = (torch.from_numpy(v).float() for v in (grid.latitudes, grid.longitudes))
    warm = 30 * torch.cos(torch.deg2rad(latitudes))[:, None].expand(ROWS, COLUMNS)
    hours = torch.arange(4)[:, None, None] * 6.0
    sun = 2 * math.pi * (hours / 24 + longitudes / 360)
    unet = UNet2DModel(
        sample_size=(8, 32),
        in_channels=4 * (1 + condition_channels()),
        out_channels=4,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        add_attention=False,
        norm_num_groups=4,
    )
    tables = Tables.of(
        {
            "climatology": (warm - 15 - 4 * torch.cos(sun)).contiguous(),
            "coefficients": 0.01 * torch.randn(feature_count()),
            "scale": torch.full((ROWS, COLUMNS), 0.5),
            "latitudes": latitudes,
            "longitudes": longitudes,
        }
    )
    scheduler = DDIMScheduler(
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )
    return TaskModel(
        tasks=(TaskName.INTERPOLATE,),
        native_height=ROWS,
        native_width=COLUMNS,
        components={"unet": unet.eval(), "tables": tables, "scheduler": scheduler},
        options=dict(options),
    )


@pytest.fixture(scope="session")
def field_model() -> TaskModel:
    return make_model()


@pytest.fixture(scope="session")
def interpolator(field_model: TaskModel) -> ClimateInterpolator:
    return ClimateInterpolator(field_model)


@pytest.fixture
def states() -> States:
    grid = gaussian_grid(ROWS, COLUMNS)
    noise = np.random.default_rng(0).normal(0, 1, (2, ROWS, COLUMNS))
    warm = 30 * np.cos(np.deg2rad(grid.latitudes))[:, None] - 15
    return States(warm + noise[0], warm + noise[1], grid, 6.0, 12.0)

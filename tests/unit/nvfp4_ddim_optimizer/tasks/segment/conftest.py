"""A segmentation model of tiny random networks, and files of every kind."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet2DModel
from numpy.typing import NDArray
from PIL import Image

from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_optimizer.networks import ImageEncoder, MaskAutoencoder
from nvfp4_ddim_optimizer.task_model import TaskModel


@pytest.fixture(scope="session")
def model() -> TaskModel:
    torch.manual_seed(0)
    return TaskModel(
        tasks=(TaskName.SEGMENT,),
        native_height=32,
        native_width=32,
        components={
            "image_encoder": ImageEncoder(in_channels=4, out_channels=6, widths=(8, 8, 16)).eval(),
            "mask_vae": MaskAutoencoder(latent_channels=4, factor=4, width=8).eval(),
            "unet": UNet2DModel(
                sample_size=8,
                in_channels=10,
                out_channels=4,
                block_out_channels=(8, 16),
                down_block_types=("DownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "UpBlock2D"),
                layers_per_block=1,
                norm_num_groups=4,
                add_attention=False,
            ).eval(),
            "scheduler": DDIMScheduler(
                beta_schedule="scaled_linear",
                prediction_type="v_prediction",
                clip_sample=False,
                timestep_spacing="trailing",
                rescale_betas_zero_snr=True,
            ),
        },
        options={"threshold": 0.5, "guess_weight": 0.5},
    )


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    """Bright discs on a dark ground, [40, 52, 3]."""
    rows, columns = np.mgrid[:40, :52]
    discs = [(10, 12, 5), (28, 40, 7)]
    inside = np.any([(rows - r) ** 2 + (columns - c) ** 2 < d * d for r, c, d in discs], axis=0)
    return np.repeat(np.where(inside, 90, 8).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    """An array as a file of some format."""

    def encode(array: NDArray[np.generic], format_: str = "PNG", **options: object) -> bytes:
        buffer = BytesIO()
        Image.fromarray(array).save(buffer, format_, **options)
        return buffer.getvalue()

    return encode

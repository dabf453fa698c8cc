"""A model for `analyze` with small random networks, and drawn leaves."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet2DModel
from PIL import Image, ImageDraw

from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_optimizer.networks import PatchTransform, Tables
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.analyze.options import CLASSES

SIDE, WIDTH = 64, 32
OPTIONS = {
    "classes": [c.value for c in CLASSES],
    "feature_timestep": 10,
    "first_timestep": 100,
    "last_timestep": 700,
    "feature_temperature": 1.0,
    "error_scale": 50.0,
    "feature_weight": 1.0,
    "error_weight": 0.5,
    "distance_limit": 1e6,
    "heat_limit": 0.01,
    "redness_limit": 0.0,
}


@pytest.fixture
def model() -> TaskModel:
    """Takes every leaf for whatever its random head says; no leaf is unlike the training's."""
    torch.manual_seed(0)
    transform = PatchTransform(8, 6)
    basis, _ = torch.linalg.qr(torch.randn(192, 6))
    transform.basis.data.copy_(basis.T)
    unet = UNet2DModel(
        sample_size=SIDE // 8,
        in_channels=6,
        out_channels=6,
        block_out_channels=(16, WIDTH),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=16,
        norm_num_groups=8,
        num_class_embeds=4,
    )
    tables = Tables.of(
        {
            "head_weight": torch.randn(3, 2 * WIDTH),
            "head_bias": torch.zeros(3),
            "style_mean": torch.zeros(3 * 16 + 6),
            "style_whitening": torch.eye(3 * 16 + 6),
        }
    )
    scheduler = DDIMScheduler(
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )
    components = {"transform": transform, "unet": unet, "tables": tables, "scheduler": scheduler}
    for part in (transform, unet, tables):
        part.requires_grad_(False).eval()
    return TaskModel((TaskName.ANALYZE,), SIDE, SIDE, components, dict(OPTIONS))


def draw_leaf(
    size: tuple[int, int] = (200, 160), box: tuple[int, int, int, int] = (60, 40, 140, 130)
) -> Image.Image:
    """A green ellipse with a brown spot on a bluish grey ground."""
    image = Image.new("RGB", size, (140, 138, 150))
    pen = ImageDraw.Draw(image)
    pen.ellipse(box, fill=(60, 130, 50))
    middle = ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)
    pen.ellipse((middle[0] - 8, middle[1] - 8, middle[0] + 8, middle[1] + 8), fill=(110, 75, 45))
    return image


@pytest.fixture
def leaf() -> Image.Image:
    return draw_leaf()


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    """A picture as the bytes of a file."""

    def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return encode


@pytest.fixture
def noise() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    return Image.fromarray(pixels)

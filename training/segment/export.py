"""Choose thresholds on the validation images and write the model and the U-Net beside it.

    python -m training.segment.export --data FILE

`models/nuclei-128` is the model. `models/nuclei-128-supervised` is the U-Net that the benchmark
compares with; nothing else uses it.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from benchmarks.uses.segment_methods import (
    THRESHOLD_FILE,
    Images,
    diffusion_probability,
    load_images,
    supervised_probability,
)
from benchmarks.uses.segment_metrics import mean_dice
from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_optimizer.task_files import save_task_model
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.segment import Segmenter
from training.common import log_line
from training.segment.data import read_split
from training.segment.learners import diffusion_modules, supervised_modules
from training.segment.mask_autoencoder import RUN
from training.segment.model_card import write_card
from training.segment.networks import build_scheduler

__all__ = ["best_threshold"]

app = typer.Typer(help=__doc__)
THRESHOLDS = np.round(np.arange(0.30, 0.71, 0.02), 2)
STEPS, SAMPLES = 10, 4
# The best of 0, 1/2 and 1 on the validation images: Dice .8835, .8909, .8905.
GUESS_WEIGHT = 0.5


def best_threshold(probability: NDArray[np.float32], masks: NDArray[np.bool_]) -> float:
    """The threshold of the highest mean Dice."""
    dice = [mean_dice(probability > threshold, masks) for threshold in THRESHOLDS]
    return float(THRESHOLDS[int(np.argmax(dice))])


def assemble(run: Path, threshold: float) -> TaskModel:
    """The trained networks as a model."""
    parts = diffusion_modules()
    parts.load_state_dict(torch.load(run / "diffusion.pt", weights_only=True))
    parts.requires_grad_(False).eval()
    return TaskModel(
        tasks=(TaskName.SEGMENT,),
        native_height=128,
        native_width=128,
        components={
            "image_encoder": parts["image_encoder"],
            "mask_vae": parts["mask_autoencoder"],
            "unet": parts["unet"],
            "scheduler": build_scheduler(),
        },
        options={"threshold": threshold, "guess_weight": GUESS_WEIGHT},
    )


@app.command()
def export(
    data: Annotated[Path, typer.Option(help="npz with images and masks")],
    run: Path = RUN,
    model: Path = Path("models/nuclei-128"),
    supervised: Path = Path("models/nuclei-128-supervised"),
) -> None:
    """Write both models in fp16."""
    validation: Images = load_images(data).select(read_split()["validation"])
    segmenter = Segmenter(assemble(run, 0.5))
    p = diffusion_probability(segmenter, validation.images, STEPS, SAMPLES)
    threshold = best_threshold(p, validation.masks)
    dice = mean_dice(p > threshold, validation.masks)
    log_line(run / "export.log", f"diffusion: threshold {threshold}, validation Dice {dice:.4f}")
    save_task_model(assemble(run, threshold), model, card="")
    write_card(model)

    parts = supervised_modules()
    parts.load_state_dict(torch.load(run / "supervised.pt", weights_only=True))
    unet = parts["unet"].requires_grad_(False).eval()
    p = supervised_probability(unet, validation.images)
    threshold = best_threshold(p, validation.masks)
    dice = mean_dice(p > threshold, validation.masks)
    log_line(run / "export.log", f"supervised: threshold {threshold}, validation Dice {dice:.4f}")
    torch.nn.Module.half(unet).save_pretrained(supervised)
    (supervised / THRESHOLD_FILE).write_text(json.dumps({"threshold": threshold}) + "\n")


if __name__ == "__main__":
    app()

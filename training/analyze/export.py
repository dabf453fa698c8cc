"""Calibrate a trained run and write it as models/potato-leaf-128 (fp16) and as an artifact."""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from diffusers import UNet2DModel

from nvfp4_ddim_contracts import DataFree, ScaleSearch
from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_optimizer.artifacts import load_artifact
from nvfp4_ddim_optimizer.networks import PatchTransform, Tables
from nvfp4_ddim_optimizer.sources import ModelKind, ModelSource
from nvfp4_ddim_optimizer.streaming import ArtifactDetails, quantize_to_artifact
from nvfp4_ddim_optimizer.task_files import load_task_model, save_task_model
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.analyze.options import CLASSES
from training.analyze.calibrate import fit_options, fit_tables, with_masks
from training.analyze.data import load_leaves, read_split
from training.analyze.networks import build_scheduler
from training.analyze.train import CONTRAST_TIMESTEPS, FEATURE_TIMESTEP

__all__ = ["main"]

CARD = Path(__file__).with_name("card.md")
# Weights are a megabyte: the least error is worth more here than the last bit.
METHOD = DataFree(scale_search=ScaleSearch.SWEEP)


def _provisional(run: Path) -> tuple[TaskModel, dict[str, torch.Tensor]]:
    head = torch.load(run / "head.pt", weights_only=True)
    unet = UNet2DModel.from_pretrained(run / "unet").eval()
    width = 3 * unet.config.block_out_channels[0] + unet.config.in_channels
    tables = {
        "head_weight": head["weight"],
        "head_bias": head["bias"],
        "style_mean": torch.zeros(width),
        "style_whitening": torch.eye(width),
    }
    options = {
        "classes": list(CLASSES),
        "feature_timestep": FEATURE_TIMESTEP,
        "first_timestep": CONTRAST_TIMESTEPS[0],
        "last_timestep": CONTRAST_TIMESTEPS[1],
    } | dict.fromkeys(
        (
            "feature_temperature",
            "error_scale",
            "feature_weight",
            "error_weight",
            "distance_limit",
            "heat_limit",
            "redness_limit",
        ),
        1.0,
    )
    components = {
        "transform": PatchTransform.from_pretrained(run / "transform").eval(),
        "unet": unet,
        "tables": Tables.of(tables),
        "scheduler": build_scheduler(),
    }
    return TaskModel((TaskName.ANALYZE,), 128, 128, components, options), head


def _read_back(directory: Path) -> TaskModel:
    return load_task_model(directory, json.loads((directory / "model_index.json").read_text()))


def main(
    data: Annotated[Path, typer.Option(help="folder or zip with train/ and val/")],
    run: Annotated[Path, typer.Option(help="what training wrote")] = Path("training/runs/analyze"),
    model: Annotated[Path, typer.Option(help="directory to write")] = Path(
        "models/potato-leaf-128"
    ),
    artifact: Annotated[Path, typer.Option(help="NVFP4 artifact to write")] = Path(
        "inference/nvfp4_ddim_optimizer/bundled/potato-leaf-128"
    ),
    seed: int = 0,
) -> None:
    """Fit tables and options on both precisions, then write both."""
    torch.manual_seed(seed)
    split, everything = read_split(), load_leaves(data, "train")
    kept = np.array([name in split.validation for name in everything.names])
    copied = np.array([name in split.copies for name in everything.names])
    leaves, validation = everything.choose(~kept), everything.choose(kept & ~copied)
    trained, head = _provisional(run)
    card = CARD.read_text("utf-8")
    details = ArtifactDetails("potato-leaf-128", "potato-leaf-128", "CC0-1.0", "PlantVillage")
    with tempfile.TemporaryDirectory() as scratch:
        full, packed = Path(scratch) / "full", Path(scratch) / "packed"
        save_task_model(trained, full, card=card)
        quantize_to_artifact(ModelSource(ModelKind.DIFFUSERS, str(full)), packed, METHOD, details)
        models = [_read_back(full), load_artifact(packed).pipeline]
    typer.echo("features of the training leaves")
    tables = fit_tables(models, leaves, with_masks(leaves), head, seed)
    for one in models:
        one.components["tables"] = tables
    typer.echo("prediction errors of the validation leaves")
    options = fit_options(models, validation, with_masks(validation), seed)
    typer.echo(options)
    trained.components["tables"] = tables
    trained.options |= options
    save_task_model(trained, model, card=card)
    source = ModelSource(ModelKind.DIFFUSERS, str(model))
    quantize_to_artifact(source, artifact, METHOD, details, overwrite=True)


if __name__ == "__main__":
    typer.run(main)

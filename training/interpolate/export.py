"""Write `models/climate-6h`: the denoiser in fp16, and the tables as they are."""

import json
from pathlib import Path
from typing import Annotated

import torch
import typer

from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_optimizer.networks import Tables
from nvfp4_ddim_optimizer.task_files import save_task_model
from nvfp4_ddim_optimizer.task_model import TaskModel
from training.interpolate.diffusion import build_unet
from training.interpolate.model_card import climate_card
from training.networks import build_scheduler

__all__ = ["assemble"]


def assemble(run: Path, checkpoint: str) -> TaskModel:
    """The model from a run's folder."""
    prepared = torch.load(run / "prepared.pt", weights_only=True)
    height, width = prepared["scale"].shape
    unet = build_unet(height, width)
    unet.load_state_dict(torch.load(run / checkpoint, weights_only=True))
    names = ("climatology", "coefficients", "scale", "latitudes", "longitudes")
    calibration = run / "calibration.json"
    found = json.loads(calibration.read_text()) if calibration.exists() else {}
    return TaskModel(
        tasks=(TaskName.INTERPOLATE,),
        native_height=height,
        native_width=width,
        components={
            "unet": unet.eval(),
            "tables": Tables.of({name: prepared[name].contiguous() for name in names}),
            "scheduler": build_scheduler(),
        },
        options={
            "variable": "surface temperature",
            "units": "degC",
            "expectation_weight": float(found.get("expectation_weight", 0.0)),
            "member_gains": found.get("member_gains", [1.0]),
        },
    )


def main(
    run: Annotated[Path, typer.Option(help="folder of the runs")] = Path(
        "training/runs/interpolate"
    ),
    checkpoint: Annotated[str, typer.Option(help="best.pt or last.pt")] = "best.pt",
    destination: Annotated[Path, typer.Option()] = Path("models/climate-6h"),
    artifact: Annotated[Path, typer.Option(help="NVFP4, for its size")] = Path(
        "inference/nvfp4_ddim_optimizer/bundled/climate-6h"
    ),
    claims: Annotated[Path, typer.Option(help="numbers for the card, if they are there")] = Path(
        "docs/benchmarks/interpolate.json"
    ),
) -> None:
    """Export; once more after the evaluation, for the numbers of the card."""
    model = assemble(run, checkpoint)
    size = sum(path.stat().st_size for path in artifact.rglob("*") if path.is_file())
    card = climate_card(
        parameters=sum(p.numel() for p in model.components["unet"].parameters()),
        coefficients=model.components["tables"]["coefficients"].numel(),
        kilobytes=round(size / 1000),
        claims=claims,
    )
    save_task_model(model, destination, card=card)
    typer.echo(str(destination))


if __name__ == "__main__":
    typer.run(main)

"""Put the trained parts together: count the frequency tables, write the model and its card."""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_optimizer.networks import CodecHyperAnalysis, Tables
from nvfp4_ddim_optimizer.task_files import save_task_model
from nvfp4_ddim_optimizer.task_model import TaskModel
from training.compress.codec import Codec, load_codec
from training.compress.data import Crops, photo_paths
from training.compress.entropy import THRESHOLDS
from training.compress.refiner import build_refiner
from training.compress.tables import entropy_tables
from training.networks import build_scheduler

__all__ = ["assemble"]

CARD = Path(__file__).parent / "model_card.md"


def assemble(
    codec: Codec,
    tables: dict[str, Tensor],
    refiner: dict[str, Any],
    temperature: float,
    strength: float,
) -> TaskModel:
    """A task model of trained parts.

    Args:
        codec: The transforms and the hyper-analysis.
        tables: From `entropy_tables`.
        refiner: What `training.compress.refiner` wrote.
        temperature: Standard deviation of the noise that the refiner's detail begins with.
        strength: Share of the detail that is added.
    """
    hyper = CodecHyperAnalysis()
    hyper.layers.load_state_dict(codec.entropy.hyper_analysis.state_dict())
    unet = build_refiner()
    unet.load_state_dict(refiner["unet"])
    detail = {name: refiner[name] for name in ("base_components", "detail_components")}
    detail["detail_deviation"] = strength * refiner["detail_deviation"]
    detail["temperature"] = torch.tensor([temperature])
    return TaskModel(
        tasks=(TaskName.COMPRESS, TaskName.DECOMPRESS),
        native_height=256,
        native_width=256,
        components={
            "analysis": codec.analysis,
            "synthesis": codec.synthesis,
            "hyper_analysis": hyper,
            "tables": Tables.of(tables),
            "refiner": unet,
            "detail": Tables.of(detail),
            "scheduler": build_scheduler(),
        },
    )


def main(
    data: Annotated[Path, typer.Option(help="folder of photographs")],
    codec: Annotated[Path, typer.Option(help="from training.compress.codec")] = Path(
        "training/runs/compress/codec.pt"
    ),
    refiner: Annotated[Path, typer.Option(help="from training.compress.refiner")] = Path(
        "training/runs/refiner/refiner.pt"
    ),
    output: Annotated[Path, typer.Option(help="directory to write")] = Path("models/photo-codec"),
    counted: Annotated[Path, typer.Option(help="frequency tables, made if missing")] = Path(
        "training/runs/compress/tables.pt"
    ),
    count: Annotated[int, typer.Option(help="crops to count symbols on")] = 500,
    temperature: Annotated[float, typer.Option(help="of the refiner's noise")] = 0.0,
    strength: Annotated[float, typer.Option(help="share of the detail that is added")] = 0.5,
) -> None:
    """Write the model in full precision."""
    trained = load_codec(codec)
    if not counted.exists():
        crops = Crops(photo_paths(data, validation=False), 256, seed=7)
        arrays = entropy_tables(trained, crops, count=count, thresholds=THRESHOLDS)
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, counted)
    tables = torch.load(counted, weights_only=True)
    found = torch.load(refiner, weights_only=True)
    model = assemble(trained, tables, found, temperature, strength)
    save_task_model(model, output, card=CARD.read_text("utf-8"))
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    typer.echo(f"{output}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    typer.run(main)

"""`nvfp4-ddim segment` on tiny networks of random weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet2DModel
from PIL import Image
from typer.testing import CliRunner, Result

from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_optimizer.cli.app import app
from nvfp4_ddim_optimizer.cli.runtime import ExitCode
from nvfp4_ddim_optimizer.networks import ImageEncoder, MaskAutoencoder
from nvfp4_ddim_optimizer.task_files import save_task_model
from nvfp4_ddim_optimizer.task_model import TaskModel


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["segment", *map(str, arguments)])


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=8,
        in_channels=6,
        out_channels=2,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        add_attention=False,
    )
    components = {
        "image_encoder": ImageEncoder(in_channels=4, out_channels=4, widths=(8, 8, 16)),
        "mask_vae": MaskAutoencoder(latent_channels=2, factor=4, width=8),
        "unet": unet,
        "scheduler": DDIMScheduler(
            prediction_type="v_prediction", clip_sample=False, timestep_spacing="trailing"
        ),
    }
    directory = tmp_path_factory.mktemp("models") / "toy"
    model = TaskModel(
        (TaskName.SEGMENT,), 32, 32, components, {"threshold": 0.5, "guess_weight": 0.5}
    )
    save_task_model(model, directory, card="# toy\n")
    return directory


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    path = tmp_path / "cells.small.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 40), dtype=np.uint8)).save(path)
    return path


def test_it_writes_a_folder(
    toy: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(cells, "-m", toy, "--samples", 1, "--steps", 1, "--seed", 0, "--json")
    assert result.exit_code == ExitCode.OK, result.output
    folder = tmp_path / "cells-segmented"
    names = {path.name for path in folder.iterdir()}
    assert {"mask.png", "overlay.png", "instances.csv", "report.json"} <= names
    assert not any(name.startswith(".") for name in names)
    assert json.loads(result.stdout) == json.loads((folder / "report.json").read_text())
    assert Image.open(folder / "mask.png").size == (40, 30)


def test_earlier_results_are_kept_unless_told(toy: Path, cells: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    options = ("-m", toy, "--samples", 1, "--steps", 1, "-o", folder)
    refused = run(cells, *options)
    assert refused.exit_code == ExitCode.USAGE
    assert "exists" in refused.output
    assert run(cells, *options, "--overwrite").exit_code == ExitCode.OK
    assert (folder / "mask.png").is_file()


@pytest.mark.parametrize(
    ("content", "message"), [(b"no picture", "none that can be segmented"), (None, "is empty")]
)
def test_bad_input_is_explained(
    toy: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "input"
    path.mkdir() if content is None else path.write_bytes(content)
    result = run(path, "-m", toy, "-o", tmp_path / "out")
    assert result.exit_code == ExitCode.USAGE
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_help_shows_examples() -> None:
    result = run("--help")
    assert result.exit_code == ExitCode.OK
    assert "--window" in result.output

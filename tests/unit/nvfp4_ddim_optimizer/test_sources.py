import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nvfp4_ddim_contracts import DataFree, LayerEntry, ScaleSearch
from nvfp4_ddim_optimizer import sources
from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError
from nvfp4_ddim_optimizer.nvfp4 import DataFreeQuantizer
from nvfp4_ddim_optimizer.sources import ModelKind

ABSMAX = DataFreeQuantizer(DataFree(scale_search=ScaleSearch.ABSMAX))


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("one", "two", "unfinished"):
        (tmp_path / name).mkdir()
    for name in ("one", "two"):
        (tmp_path / name / "manifest.json").touch()
    monkeypatch.setattr(sources, "_BUNDLED", tmp_path)
    return tmp_path


def test_bundled_models_are_the_finished_artifacts(bundled: Path) -> None:
    assert sources.bundled_models() == {"one": bundled / "one", "two": bundled / "two"}


def test_finds_models_by_directory_name_and_hub_id(
    bundled: Path, tiny_directory: Callable[[str], Path]
) -> None:
    assert sources.locate_model("one").location == str(bundled / "one")
    assert sources.locate_model(bundled / "two").kind is ModelKind.ARTIFACT
    full = sources.locate_model(tiny_directory("sd1"))
    assert (full.kind, full.name, full.original_name) == (ModelKind.DIFFUSERS, "sd1", "sd1")
    hub = sources.locate_model("owner/model-1.5")
    assert (hub.kind, hub.name, hub.original_name) == (
        ModelKind.HUB,
        "model-1.5",
        "owner/model-1.5",
    )


@pytest.mark.parametrize("name", ["three", "", "a/b/c", "../x/y", "https://example.org/model"])
def test_an_unknown_name_lists_the_known_ones(bundled: Path, name: str) -> None:
    if name:
        with pytest.raises(InvalidInputError, match="'one', 'two'"):
            sources.locate_model(name)
    else:  # the empty path is the current directory
        with pytest.raises(FileNotFoundError):
            sources.locate_model(name)


def test_an_artifact_is_not_quantised_again(bundled: Path) -> None:
    with pytest.raises(InvalidInputError, match="quantised already"):
        sources.locate_full_precision("one")


def test_never_reads_pickled_weights(tiny_directory: Callable[[str], Path], tmp_path: Path) -> None:
    copy = tmp_path / "pickled"
    shutil.copytree(tiny_directory("sd1"), copy)
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    torch.save({}, weights.with_suffix(".bin"))
    with pytest.raises(ModelNotSupportedError, match="safetensors"):
        sources.load_diffusers(sources.locate_model(copy))


def test_quantises_two_components_and_leaves_the_autoencoder(
    tiny_pipeline: Callable[..., Any],
) -> None:
    pipeline = tiny_pipeline("sd1")
    before = {name: tensor.clone() for name, tensor in pipeline.vae.state_dict().items()}
    seen: list[LayerEntry] = []
    layers = sources.quantize_pipeline(pipeline, ABSMAX, on_layer=seen.append)
    assert seen == layers
    assert len(layers) > 20
    assert {entry.component for entry in layers} == {"text_encoder", "unet"}
    assert all(torch.equal(before[name], t) for name, t in pipeline.vae.state_dict().items())


def test_the_digest_names_the_weights(tiny_pipeline: Callable[..., Any]) -> None:
    pipeline = tiny_pipeline("sd1")
    digest = sources.parameter_digest(pipeline)
    assert digest == sources.parameter_digest(tiny_pipeline("sd1"))
    assert digest != sources.parameter_digest(tiny_pipeline("sd1", seed=1))
    quantised = tiny_pipeline("sd1")
    sources.quantize_pipeline(quantised, ABSMAX)
    assert digest != sources.parameter_digest(quantised)


def test_counts_parameters_in_float32(tiny_pipeline: Callable[..., Any]) -> None:
    pipeline = tiny_pipeline("taesd")
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    count = sum(p.numel() for part in parts for p in part.parameters())
    assert sources.parameter_bytes(pipeline) == 4 * count

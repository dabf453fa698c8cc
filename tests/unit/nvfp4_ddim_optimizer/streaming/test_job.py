"""From a diffusers directory to an artifact: the same bytes by every way, or a clear refusal."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nvfp4_ddim_contracts import DataFree, Manifest, RateDistortion, ScaleSearch, WeightStorage
from nvfp4_ddim_optimizer.artifacts import load_artifact, save_artifact
from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError
from nvfp4_ddim_optimizer.nvfp4 import quantizer_for
from nvfp4_ddim_optimizer.sources import load_diffusers, locate_full_precision, quantize_pipeline
from nvfp4_ddim_optimizer.streaming import Budget, Workspace, open_model

UNET = "unet/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"

Quantize = Callable[..., Manifest]
Files = Callable[[Path], dict[str, bytes]]
Directory = Callable[[str], Path]


class Interruption:
    """Progress that ends the work after so many layers, and counts them."""

    def __init__(self, layers: int | None = None) -> None:
        self.left = layers
        self.layers = 0
        self.parts: list[str] = []
        self.total: int | None = None
        self.done = 0

    def begin(self, what: str, total: int | None) -> None:
        self.parts.append(what)
        self.total = total or self.total

    def advance(self, weights: int) -> None:
        self.layers += 1
        self.done += weights
        if self.layers == self.left:
            raise KeyboardInterrupt


@pytest.fixture
def model(tiny_directory: Directory, tmp_path: Path) -> Path:
    """A full-precision model that a test may change."""
    return Path(shutil.copytree(tiny_directory("sd1"), tmp_path / "model"))


@pytest.mark.parametrize("kind", ["sd1", "sd2", "taesd"])
def test_streamed_and_whole_models_give_the_same_bytes(
    kind: str, tiny_directory: Directory, tmp_path: Path, quantized: Quantize, files: Files
) -> None:
    record = RateDistortion(rate_weight=0.007)
    manifest = quantized(tiny_directory(kind), tmp_path / "streamed", record)
    pipeline = load_diffusers(locate_full_precision(tiny_directory(kind)))
    layers = quantize_pipeline(pipeline, quantizer_for(record))
    save_artifact(
        pipeline,
        layers,
        tmp_path / "whole",
        name=manifest.name,
        original_model=manifest.original_model,
        license=manifest.license,
        quantization=record,
        native_height=manifest.native_height,
        native_width=manifest.native_width,
        created_at=manifest.created_at,
    )
    assert files(tmp_path / "streamed") == files(tmp_path / "whole")
    assert not Workspace.beside(tmp_path / "streamed").exists()


def test_no_float_weight_is_there_before_it_is_due(model: Path) -> None:
    streamed = open_model(locate_full_precision(model))
    assert [component.name for component in streamed.components] == ["text_encoder", "unet"]
    for component in streamed.components:
        assert all(parameter.is_meta for parameter in component.module.parameters())
    streamed.quantize(quantizer_for(DataFree(scale_search=ScaleSearch.ABSMAX)))
    for component in streamed.components:
        assert not any(tensor.is_meta for tensor in component.module.state_dict().values())


def test_convolutions_and_time_projections_are_quantised(
    model: Path, tmp_path: Path, quantized: Quantize
) -> None:
    names = {entry.name: entry.shape for entry in quantized(model, tmp_path / "out").layers}
    assert any(name.endswith("time_emb_proj") for name in names)
    assert any(shape[2:] == (3, 3) for shape in names.values())
    assert not {"conv_in", "conv_out", "time_embedding.linear_1"} & names.keys()


def test_shards_give_the_same_bytes(
    model: Path, tmp_path: Path, quantized: Quantize, files: Files
) -> None:
    quantized(model, tmp_path / "single")
    tensors = load_file(model / UNET)
    (model / UNET).unlink()
    weight_map = {}
    for number, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2])):
        shard = f"diffusion_pytorch_model-{number:05}.safetensors"
        save_file({name: tensors[name] for name in names}, model / "unet" / shard)
        weight_map |= dict.fromkeys(names, shard)
    index = model / f"{UNET}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    quantized(model, tmp_path / "sharded")
    assert files(tmp_path / "single") == files(tmp_path / "sharded")


def test_half_precision_and_older_names_are_read(
    model: Path, tmp_path: Path, quantized: Quantize, files: Files
) -> None:
    tensors = {name: tensor.half() for name, tensor in load_file(model / TEXT).items()}
    save_file({name: tensor.float() for name, tensor in tensors.items()}, model / TEXT)
    quantized(model, tmp_path / "float")
    older: dict[str, Any] = {f"text_model.{name}": tensor for name, tensor in tensors.items()}
    older["text_model.embeddings.position_ids"] = torch.arange(16).unsqueeze(0)
    save_file(older, model / TEXT, metadata={"format": "pt"})
    assert len(open_model(locate_full_precision(model)).components) == 2
    quantized(model, tmp_path / "half")
    assert files(tmp_path / "float") == files(tmp_path / "half")


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(
    model: Path, tmp_path: Path, quantized: Quantize, files: Files
) -> None:
    whole = Interruption()
    quantized(model, tmp_path / "at-once", progress=whole)
    assert whole.done == whole.total
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        quantized(model, out, progress=Interruption(7))
    workspace = Workspace.beside(out)
    kept = {path: path.stat().st_mtime_ns for path in workspace.glob("*.safetensors")}
    assert len(kept) == 7
    assert not out.exists()
    with pytest.raises(KeyboardInterrupt):
        quantized(model, out, progress=Interruption(9))
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    quantized(model, out)
    assert files(out) == files(tmp_path / "at-once")
    assert not workspace.exists()


@pytest.mark.parametrize("change", ["quantization", "weights", "damage"])
def test_layers_made_from_something_else_are_not_taken(
    change: str, model: Path, tmp_path: Path, quantized: Quantize, files: Files
) -> None:
    out, record = tmp_path / "out", RateDistortion(rate_weight=0.007)
    with pytest.raises(KeyboardInterrupt):
        quantized(model, out, record, progress=Interruption(7))
    if change == "quantization":
        record = RateDistortion(rate_weight=0.02)
    elif change == "weights":
        tensors = {name: 2 * tensor for name, tensor in load_file(model / TEXT).items()}
        save_file(tensors, model / TEXT, metadata={"format": "pt"})
    else:
        for path in Workspace.beside(out).glob("*.safetensors"):
            path.write_bytes(path.read_bytes()[:-3])
    quantized(model, out, record)
    quantized(model, tmp_path / "afresh", record)
    assert files(out) == files(tmp_path / "afresh")


def test_a_budget_is_met_and_used(model: Path, tmp_path: Path, quantized: Quantize) -> None:
    free = quantized(model, tmp_path / "free", RateDistortion(rate_weight=0.003))
    budget = round(free.artifact_bytes * 0.97)
    manifest = quantized(model, tmp_path / "fitted", budget=Budget(bytes=budget))
    assert 0.97 * budget < manifest.artifact_bytes <= budget
    assert isinstance(manifest.quantization, RateDistortion)
    assert manifest.quantization.rate_weight > 0.003
    assert load_artifact(tmp_path / "fitted").manifest == manifest
    parameters = manifest.original_bytes // 4
    bits = quantized(
        model, tmp_path / "bits", budget=Budget(bits_per_parameter=8 * budget / parameters)
    )
    assert bits.artifact_bytes <= budget


@pytest.mark.parametrize(
    "options",
    [
        {"budget": Budget(bytes=1000)},
        {"budget": Budget(bytes=10**9), "storage": WeightStorage.PLAIN},
        {
            "budget": Budget(bytes=10**9),
            "quantization": DataFree(scale_search=ScaleSearch.ABSMAX),
        },
    ],
)
def test_a_budget_that_means_nothing_is_refused(
    options: dict[str, Any], model: Path, tmp_path: Path, quantized: Quantize
) -> None:
    with pytest.raises(InvalidInputError):
        quantized(model, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("sizes", [{}, {"bytes": 1, "bits_per_parameter": 1.0}, {"bytes": 0}])
def test_a_budget_is_one_size(sizes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="one positive number"):
        Budget(**sizes)


def test_a_destination_that_is_there_is_refused_before_the_work(
    model: Path, tmp_path: Path, quantized: Quantize
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    progress = Interruption()
    for overwrite in (False, True):
        with pytest.raises(InvalidInputError, match="exists"):
            quantized(model, tmp_path / "out", overwrite=overwrite, progress=progress)
    assert not progress.parts


def test_pickled_weights_are_refused(model: Path, tmp_path: Path, quantized: Quantize) -> None:
    (model / UNET).rename(model / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(ModelNotSupportedError, match="safetensors"):
        quantized(model, tmp_path / "out")


def test_an_index_that_leads_out_of_its_directory_is_not_followed(
    model: Path, tmp_path: Path, quantized: Quantize
) -> None:
    (model / UNET).rename(tmp_path / "elsewhere.safetensors")
    index = model / f"{UNET}.index.json"
    index.write_text(json.dumps({"weight_map": {"conv_in.bias": "../../elsewhere.safetensors"}}))
    with pytest.raises(ModelNotSupportedError, match="elsewhere"):
        quantized(model, tmp_path / "out")


def test_a_weight_that_is_not_finite_is_named(
    model: Path, tmp_path: Path, quantized: Quantize
) -> None:
    tensors = load_file(model / UNET)
    tensors["mid_block.resnets.0.conv1.weight"][0, 0, 0, 0] = torch.nan
    save_file(tensors, model / UNET, metadata={"format": "pt"})
    with pytest.raises(InvalidInputError, match=r"unet\.mid_block\.resnets\.0\.conv1"):
        quantized(model, tmp_path / "out")

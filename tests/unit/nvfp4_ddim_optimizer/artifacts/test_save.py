"""What is written, and that it appears complete or not at all."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from nvfp4_ddim_contracts import Manifest, WeightStorage
from nvfp4_ddim_optimizer.artifacts import artifact_sha256, read_manifest, verify_artifact
from nvfp4_ddim_optimizer.artifacts import save as save_module
from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError
from nvfp4_ddim_optimizer.nn import NVFP4Layer, Residency, set_residency

Quantised = Callable[[str], tuple[Any, list[Any]]]
Save = Callable[..., Manifest]
UNET_FILE = "unet/weights.dense.safetensors"


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_the_layout_is_diffusers_with_a_manifest(saved: Callable[[str], Path]) -> None:
    directory = saved("sd1")
    assert set(contents(directory)) == {
        "manifest.json",
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/weights.dense.safetensors",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "unet/config.json",
        UNET_FILE,
        "vae/config.json",
        "vae/weights.dense.safetensors",
    }
    index = json.loads((directory / "model_index.json").read_text())
    assert index["unet"] == ["diffusers", "UNet2DConditionModel"]
    assert index["safety_checker"] == [None, None]


def test_weights_have_modelopts_names_and_types(
    plain_artifact: Path, quantised_pipeline: Quantised
) -> None:
    path = plain_artifact / "unet" / "diffusion_pytorch_model.safetensors"
    unet = quantised_pipeline("sd1")[0].unet
    tensors = load_file(path)
    layers = {n: m for n, m in unet.named_modules() if isinstance(m, NVFP4Layer)}
    with safe_open(path, "pt") as file:
        described = json.loads(file.metadata()["_quantization_metadata"])
    assert described["format_version"] == "1.0"
    for name, layer in layers.items():
        entry = {"format": "nvfp4", "orig_shape": list(layer.shape)}
        is_convolution = len(layer.shape) == 4
        expected = entry | {"layout": "ohwi"} if is_convolution else entry
        assert described["layers"].pop(name) == expected
    assert not described["layers"]
    for name, layer in layers.items():
        assert torch.equal(tensors[f"{name}.weight"], layer.weight)
        scales = tensors[f"{name}.weight_scale"]
        assert scales.dtype == torch.float8_e4m3fn
        assert torch.equal(scales.view(torch.uint8), layer.weight_scale.view(torch.uint8))
        assert tensors[f"{name}.weight_scale_2"].dtype == torch.float32
        assert torch.equal(tensors[f"{name}.weight_scale_2"], layer.weight_scale_2)
    assert tensors["conv_in.weight"].dtype == torch.bfloat16
    assert set(tensors) == set(unet.state_dict())


def test_dense_weights_are_smaller_and_say_so(saved: Callable[[str], Path]) -> None:
    with safe_open(saved("sd1") / UNET_FILE, "pt") as file:
        metadata = file.metadata()
        table = json.loads(metadata["nvfp4_ddim_dense"])
        assert metadata["format"] not in {"pt", "tf", "flax", "mlx"}  # what other loaders take
        assert json.loads(metadata["_quantization_metadata"])["layers"]
        assert table["tensors"]["conv_in.weight"] == ["BF16", [32, 4, 3, 3]]
        assert len(file.get_tensor("conv_in.weight")) < 2 * 32 * 4 * 3 * 3
    assert read_manifest(saved("sd1")).storage is WeightStorage.DENSE


def test_the_manifest_counts_right(
    saved: Callable[[str], Path], tiny_pipeline: Callable[..., Any]
) -> None:
    directory = saved("sd1")
    manifest = read_manifest(directory)
    pipeline = tiny_pipeline("sd1")
    parameters = sum(
        parameter.numel()
        for name in ("unet", "text_encoder", "vae")
        for parameter in getattr(pipeline, name).parameters()
    )
    files = contents(directory)
    manifest_bytes = files.pop("manifest.json")
    assert manifest.original_bytes == 4 * parameters
    assert manifest.artifact_bytes == sum(map(len, files.values()))
    assert {f.path: (f.bytes, f.sha256) for f in manifest.files} == {
        path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items()
    }
    assert artifact_sha256(directory) == hashlib.sha256(manifest_bytes).hexdigest()
    assert manifest.pipeline_class == "StableDiffusionPipeline"
    assert {layer.component for layer in manifest.layers} == {"unet", "text_encoder"}


def test_the_bytes_depend_on_the_model_alone(
    saved: Callable[[str], Path], quantised_pipeline: Quantised, save: Save, tmp_path: Path
) -> None:
    pipeline, layers = quantised_pipeline("sd1")
    set_residency(pipeline.unet, Residency.RESIDENT)
    pipeline.set_progress_bar_config(disable=True)
    pipeline("red heart", num_inference_steps=1, height=16, width=16, output_type="np")
    save(pipeline, layers, tmp_path / "again")
    again, first = contents(tmp_path / "again"), contents(saved("sd1"))
    assert [path for path in first if first[path] != again.get(path)] == []


def test_weights_may_be_read_by_whoever_may_read_the_rest(saved: Callable[[str], Path]) -> None:
    modes = {path.stat().st_mode for path in saved("sd1").rglob("*") if path.is_file()}
    assert len(modes) == 1


def test_nothing_tells_about_this_machine(
    saved: Callable[[str], Path], quantised_pipeline: Quantised, save: Save, tmp_path: Path
) -> None:
    for data in contents(saved("sd1")).values():
        assert b"_name_or_path" not in data
        assert str(tmp_path.parent).encode() not in data


def test_an_artifact_is_not_overwritten_by_accident(
    artifact: Path, quantised_pipeline: Quantised, save: Save
) -> None:
    before = contents(artifact)
    with pytest.raises(InvalidInputError, match="overwrite=True"):
        save(*quantised_pipeline("sd1"), artifact)
    assert contents(artifact) == before


def test_an_artifact_is_replaced_when_asked(
    artifact: Path, quantised_pipeline: Quantised, save: Save
) -> None:
    (artifact / "unet" / "left-over.json").write_text("{}")
    save(*quantised_pipeline("taesd"), artifact, name="other", overwrite=True)
    assert verify_artifact(artifact).name == "other"
    assert [path.name for path in artifact.parent.iterdir()] == [artifact.name]


def test_only_artifacts_are_replaced(
    quantised_pipeline: Quantised, save: Save, tmp_path: Path
) -> None:
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / "diary.txt").write_text("dear diary")
    with pytest.raises(InvalidInputError, match="is no artifact"):
        save(*quantised_pipeline("sd1"), precious, overwrite=True)
    assert contents(precious) == {"diary.txt": b"dear diary"}


def test_a_failure_half_way_leaves_nothing(
    artifact: Path,
    quantised_pipeline: Quantised,
    save: Save,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = contents(artifact)

    def disk_full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(save_module, "save_weights", disk_full)
    with pytest.raises(OSError, match="No space"):
        save(*quantised_pipeline("sd1"), artifact, overwrite=True)
    with pytest.raises(OSError, match="No space"):
        save(*quantised_pipeline("sd1"), artifact.parent / "new")
    assert contents(artifact) == before
    assert [path.name for path in artifact.parent.iterdir()] == [artifact.name]


def test_the_manifest_is_written_last(
    quantised_pipeline: Quantised, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    original = save_module.fsync_tree

    def spy(directory: Path) -> None:
        seen.append(set(contents(directory)))
        original(directory)

    monkeypatch.setattr(save_module, "fsync_tree", spy)
    save(*quantised_pipeline("sd1"), tmp_path / "new")
    assert "manifest.json" not in seen[0]
    assert UNET_FILE in seen[0]


@pytest.mark.parametrize(
    ("argument", "value"), [("name", "Not A Name"), ("native_width", 0), ("license", None)]
)
def test_arguments_that_fit_no_manifest(
    argument: str, value: Any, quantised_pipeline: Quantised, save: Save, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match=argument):
        save(*quantised_pipeline("sd1"), tmp_path / "new", **{argument: value})
    assert list(tmp_path.iterdir()) == []


def test_a_safety_checker_is_left_out_with_a_note(
    quantised_pipeline: Quantised,
    save: Save,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pipeline, layers = quantised_pipeline("sd1")
    pipeline.safety_checker = torch.nn.Linear(2, 2)
    save(pipeline, layers, tmp_path / "new")
    assert "safety_checker" in caplog.text
    assert not (tmp_path / "new" / "safety_checker").exists()


def test_what_could_not_be_loaded_is_not_saved(
    quantised_pipeline: Quantised, save: Save, tmp_path: Path
) -> None:
    pipeline, layers = quantised_pipeline("sd1")
    pipeline.text_encoder = torch.nn.Linear(2, 2)
    with pytest.raises(ModelNotSupportedError, match="Linear"):
        save(pipeline, layers, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []

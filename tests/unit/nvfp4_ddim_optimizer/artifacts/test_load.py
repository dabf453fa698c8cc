"""A round trip keeps every byte of a weight and every number of an output."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nvfp4_ddim_contracts import Manifest
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_optimizer.artifacts import artifact_sha256, load_artifact, read_manifest
from nvfp4_ddim_optimizer.artifacts.container import read_header
from nvfp4_ddim_optimizer.artifacts.reader import WeightsFile
from nvfp4_ddim_optimizer.artifacts.verify import file_sha256
from nvfp4_ddim_optimizer.errors import (
    ArtifactCorruptError,
    ArtifactFormatError,
    InvalidInputError,
    ModelNotSupportedError,
)
from nvfp4_ddim_optimizer.nn import NVFP4Layer

MODELS = ("unet", "text_encoder", "vae")
KINDS = ("sd1", "sd2", "taesd")


def run_unet(unet: nn.Module, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 4, 8, 8, generator=generator).to(dtype)
    text = torch.randn(2, 16, 32, generator=generator).to(dtype)
    with torch.no_grad():
        result: torch.Tensor = unet(latents, 500, text).sample
    return result


def as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(-1).view(torch.uint8)


def sign(directory: Path) -> None:
    """Make the manifest fit the files again, as a forger would."""
    manifest = read_manifest(directory)
    files = tuple(
        file.model_copy(
            update={
                "bytes": (directory / file.path).stat().st_size,
                "sha256": file_sha256(directory / file.path),
            }
        )
        for file in manifest.files
    )
    forged = manifest.model_copy(update={"files": files})
    (directory / MANIFEST_NAME).write_text(forged.model_dump_json())


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_round_trip_is_exact(
    kind: str,
    saved: Callable[[str], Path],
    quantised_pipeline: Callable[[str], tuple[Any, list[Any]]],
) -> None:
    original, layers = quantised_pipeline(kind)
    # What is not quantised is stored in bfloat16: rounded beforehand, nothing may change at all.
    for name in MODELS:
        for parameter in getattr(original, name).parameters():
            parameter.data = parameter.data.bfloat16().float()

    loaded = load_artifact(saved(kind))

    assert loaded.artifact_sha256 == artifact_sha256(saved(kind))
    assert list(loaded.manifest.layers) == layers
    for name in MODELS:
        before = getattr(original, name).state_dict()
        after = getattr(loaded.pipeline, name).state_dict()
        assert before.keys() == after.keys()
        for key, tensor in before.items():
            assert after[key].dtype == tensor.dtype
            assert torch.equal(as_bytes(after[key]), as_bytes(tensor)), key
    assert torch.equal(run_unet(loaded.pipeline.unet), run_unet(original.unet))


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_pipeline_draws_the_same_picture(
    kind: str,
    saved: Callable[[str], Path],
    quantised_pipeline: Callable[[str], tuple[Any, list[Any]]],
) -> None:
    original, _ = quantised_pipeline(kind)
    for name in MODELS:
        for parameter in getattr(original, name).parameters():
            parameter.data = parameter.data.bfloat16().float()
    pictures = []
    for pipeline in (original, load_artifact(saved(kind)).pipeline):
        pipeline.set_progress_bar_config(disable=True)
        generator = torch.Generator().manual_seed(7)
        arguments = {"num_inference_steps": 2, "height": 16, "width": 16, "output_type": "pt"}
        pictures.append(pipeline("red heart", generator=generator, **arguments).images)
    assert torch.equal(*pictures)


def test_models_are_ready_to_run(saved: Callable[[str], Path]) -> None:
    pipeline = load_artifact(saved("sd1")).pipeline
    for name in MODELS:
        model = getattr(pipeline, name)
        assert not model.training
        assert not any(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert model.dtype == torch.float32
    position_ids = pipeline.text_encoder.embeddings.position_ids
    assert torch.equal(position_ids, torch.arange(16).unsqueeze(0))
    assert pipeline.safety_checker is None
    assert pipeline.tokenizer.model_max_length == 16


def test_everything_but_packed_weights_takes_the_compute_dtype(
    saved: Callable[[str], Path],
) -> None:
    unet = load_artifact(saved("sd1"), compute_dtype=torch.bfloat16).pipeline.unet
    assert {parameter.dtype for parameter in unet.parameters()} == {torch.bfloat16}
    layer = next(module for module in unet.modules() if isinstance(module, NVFP4Layer))
    assert layer.weight_scale.dtype == torch.float8_e4m3fn
    assert layer.weight_scale_2.dtype == torch.float32
    assert run_unet(unet, torch.bfloat16).dtype == torch.bfloat16


def test_other_compute_dtypes_are_refused(saved: Callable[[str], Path]) -> None:
    with pytest.raises(InvalidInputError, match="compute dtype"):
        load_artifact(saved("sd1"), compute_dtype=torch.int8)


def test_loading_and_saving_again_gives_the_same_files(
    saved: Callable[[str], Path], save: Callable[..., Manifest], tmp_path: Path
) -> None:
    loaded = load_artifact(saved("sd1"))
    save(loaded.pipeline, loaded.manifest.layers, tmp_path / "again")
    assert read_manifest(tmp_path / "again") == loaded.manifest


def test_an_altered_weight_is_noticed_unless_told_not_to(plain_artifact: Path) -> None:
    path = plain_artifact / "unet" / "diffusion_pytorch_model.safetensors"
    flip(path, -1)
    with pytest.raises(ArtifactCorruptError, match="altered"):
        load_artifact(plain_artifact)
    load_artifact(plain_artifact, verify=False)


def test_an_altered_frame_is_noticed_in_any_case(artifact: Path) -> None:
    path = artifact / "unet" / "weights.dense.safetensors"
    with WeightsFile(path) as file:
        frame = read_header(path).tensors["conv_in.weight"]
        assert file.tensors["conv_in.weight"].dtype == "BF16"
    flip(path, frame.start + frame.bytes // 2)
    with pytest.raises(ArtifactCorruptError, match="altered"):
        load_artifact(artifact)
    with pytest.raises(ArtifactCorruptError, match=r"conv_in\.weight can't be decompressed"):
        load_artifact(artifact, verify=False)


def test_sizes_are_checked_even_without_checksums(artifact: Path) -> None:
    path = artifact / "vae" / "weights.dense.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ArtifactCorruptError, match="truncated"):
        load_artifact(artifact, verify=False)


@pytest.mark.parametrize(
    "entry",
    [
        ["os", "system"],
        ["diffusers", "FluxTransformer2DModel"],
        ["transformers", "AutoModel"],
        ["my_module", "MyModel"],
    ],
)
def test_only_classes_on_the_list_are_instantiated(artifact: Path, entry: list[str]) -> None:
    edit_json(artifact / "model_index.json", unet=entry)
    sign(artifact)
    with pytest.raises(ModelNotSupportedError, match="not supported"):
        load_artifact(artifact)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unet": ["transformers", "UNet2DConditionModel"]}, "takes"),
        ({"../unet": ["diffusers", "UNet2DConditionModel"]}, "no component"),
        ({"unet": ["diffusers"]}, "no component"),
        ({"unet": [None, None]}, "layers of components that are not there"),
        ({"_class_name": "StableDiffusionImg2ImgPipeline"}, "different pipelines"),
        ({"unexpected": ["diffusers", "DDIMScheduler"]}, "holds no usable|can't be read"),
    ],
)
def test_an_index_that_makes_no_sense(
    artifact: Path, changes: dict[str, Any], message: str
) -> None:
    edit_json(artifact / "model_index.json", **changes)
    sign(artifact)
    with pytest.raises(ArtifactFormatError, match=message):
        load_artifact(artifact)


def test_a_config_without_the_quantised_layers(artifact: Path) -> None:
    edit_json(artifact / "unet" / "config.json", block_out_channels=[32, 32])
    sign(artifact)
    with pytest.raises(ArtifactFormatError, match=r"no usable UNet2DConditionModel"):
        load_artifact(artifact)


@pytest.mark.parametrize(
    ("component", "changes", "message"),
    [
        ("unet", {"cross_attention_dim": 48}, "but the model has"),
        ("text_encoder", {"num_hidden_layers": 3}, "does not hold the tensors"),
        ("vae", {"latent_channels": 8}, "but the model has"),
    ],
)
def test_a_config_of_another_size(
    artifact: Path, component: str, changes: dict[str, Any], message: str
) -> None:
    edit_json(artifact / component / "config.json", **changes)
    sign(artifact)
    with pytest.raises(ArtifactFormatError, match=message):
        load_artifact(artifact)


def test_a_config_that_is_nonsense(artifact: Path) -> None:
    edit_json(artifact / "unet" / "config.json", block_out_channels="wide")
    sign(artifact)
    with pytest.raises(ArtifactFormatError, match="no usable UNet2DConditionModel"):
        load_artifact(artifact)


def test_weights_that_are_no_safetensors(artifact: Path) -> None:
    (artifact / "unet" / "weights.dense.safetensors").write_bytes(b"\0" * 100)
    sign(artifact)
    with pytest.raises(ArtifactCorruptError, match="can't be read"):
        load_artifact(artifact)


def test_layers_that_the_model_does_not_have(artifact: Path) -> None:
    manifest = read_manifest(artifact)
    renamed = manifest.layers[0].model_copy(update={"name": "nowhere"})
    forged = manifest.model_copy(update={"layers": (renamed, *manifest.layers[1:])})
    (artifact / MANIFEST_NAME).write_text(forged.model_dump_json())
    with pytest.raises(ArtifactFormatError, match="nowhere"):
        load_artifact(artifact)


def test_scales_that_are_not_numbers(plain_artifact: Path) -> None:
    path = plain_artifact / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    header_bytes = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + header_bytes])
    name = next(key for key in header if key.endswith(".weight_scale"))
    data[8 + header_bytes + header[name]["data_offsets"][0]] = 0x7F
    path.write_bytes(data)
    sign(plain_artifact)
    with pytest.raises(ArtifactFormatError, match="negative or NaN"):
        load_artifact(plain_artifact)


def test_a_cache_gives_the_same_model(artifact: Path, tmp_path: Path) -> None:
    expected = load_artifact(artifact).pipeline.unet.state_dict()
    for verify in (True, False, True):
        loaded = load_artifact(artifact, verify=verify, cache_directory=tmp_path / "cache")
        found = loaded.pipeline.unet.state_dict()
        assert all(torch.equal(as_bytes(found[key]), as_bytes(expected[key])) for key in expected)
    cached = tmp_path / "cache" / loaded.artifact_sha256
    assert {path.name for path in cached.glob("*.safetensors")} == {
        "text_encoder.safetensors",
        "unet.safetensors",
        "vae.safetensors",
    }


def test_plain_weights_need_no_cache(plain_artifact: Path, tmp_path: Path) -> None:
    load_artifact(plain_artifact, cache_directory=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()

"""Whole artifacts to other tools' layouts and back."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from safetensors.torch import load_file

from nvfp4_ddim_contracts import Manifest
from nvfp4_ddim_optimizer.artifacts import load_artifact, read_manifest, save_artifact
from nvfp4_ddim_optimizer.artifacts.exchange import (
    RECORD_NAME,
    ConvStorage,
    ExchangeFormat,
    export_artifact,
    import_model,
)
from nvfp4_ddim_optimizer.artifacts.exchange.ldm_names import ldm_name
from nvfp4_ddim_optimizer.errors import (
    ArtifactCorruptError,
    ArtifactFormatError,
    ArtifactNotFoundError,
    InvalidInputError,
)
from nvfp4_ddim_optimizer.nn import NVFP4Conv2d, NVFP4Layer

FORMATS = list(ExchangeFormat)
Directory = Callable[[str], Path]


def save_again(imported: Any, target: Path) -> Manifest:
    before = imported.record.source
    return save_artifact(
        imported.pipeline,
        imported.layers,
        target,
        **{
            name: getattr(before, name)
            for name in (
                "name",
                "original_model",
                "license",
                "attribution",
                "quantization",
                "storage",
                "default_guidance_scale",
                "native_height",
                "native_width",
                "created_at",
            )
        },
    )


def files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("kind", FORMATS)
def test_the_way_back_gives_the_same_bytes(
    kind: ExchangeFormat, saved: Directory, tmp_path: Path
) -> None:
    told: list[str] = []
    exported = export_artifact(saved("sd1"), tmp_path / "out", kind, on_component=told.append)
    imported = import_model(tmp_path / "out", on_component=told.append)
    save_again(imported, tmp_path / "back")

    assert files(tmp_path / "back") == files(saved("sd1"))
    assert imported.formats == {"unet": kind, "text_encoder": kind}
    assert sorted(told) == sorted(2 * ["text_encoder", "unet", "vae"])
    unet = next(part for part in exported if part.component == "unet")
    layers = [e for e in read_manifest(saved("sd1")).layers if e.component == "unet"]
    assert unet.packed_convs == sum(len(entry.shape) == 4 for entry in layers)
    assert unet.packed_linears == len(layers) - unet.packed_convs
    assert (tmp_path / "out" / unet.file).stat().st_size == unet.bytes


@pytest.mark.parametrize(
    "kind",
    [ExchangeFormat.COMPRESSED_TENSORS, ExchangeFormat.COMFYUI, ExchangeFormat.GGUF],
)
def test_with_dequantised_convolutions_the_numbers_stay(
    kind: ExchangeFormat, saved: Directory, tmp_path: Path
) -> None:
    exported = export_artifact(saved("sd1"), tmp_path / "out", kind, convs=ConvStorage.BF16)
    imported = import_model(tmp_path / "out")
    original = load_artifact(saved("sd1"), compute_dtype=torch.bfloat16).pipeline

    assert not any(part.packed_convs for part in exported)
    assert not any(isinstance(m, NVFP4Conv2d) for m in imported.pipeline.unet.modules())
    assert any(isinstance(m, NVFP4Layer) for m in imported.pipeline.unet.modules())
    sample, text = torch.randn(1, 4, 8, 8).bfloat16(), torch.randn(1, 16, 32).bfloat16()
    with torch.inference_mode():
        before = original.unet(sample, torch.tensor(10), text).sample
        after = imported.pipeline.unet(sample, torch.tensor(10), text).sample
    torch.testing.assert_close(after, before, rtol=2**-5, atol=2**-5)
    for name, module in original.unet.named_modules():
        if isinstance(module, NVFP4Conv2d):
            dense = imported.pipeline.unet.get_submodule(name).weight
            assert torch.equal(dense, module.dense_weight(sample))


@pytest.mark.parametrize("kind", ["sd1", "sd2"])
def test_unets_have_the_names_of_the_original_code(
    kind: str, saved: Directory, tiny_pipeline: Callable[..., Any], tmp_path: Path
) -> None:
    """diffusers' own converter finds every tensor, and its names are where ours were."""
    unet = tiny_pipeline(kind).unet
    config = dict(unet.config)
    state = unet.state_dict()
    renamed = {f"model.diffusion_model.{ldm_name(n, config)}": n for n in state}

    assert len(renamed) == len(state)
    back = convert_ldm_unet_checkpoint(dict(renamed), config)
    assert back == {name: name for name in state}

    export_artifact(saved(kind), tmp_path / "out", ExchangeFormat.COMFYUI, convs=ConvStorage.BF16)
    written = load_file(tmp_path / "out" / "unet" / "diffusion_pytorch_model.safetensors")
    weights = {name for name in written if name.endswith((".weight", ".bias"))}
    assert weights == {name.removeprefix("model.diffusion_model.") for name in renamed}


def test_comfyui_finds_the_width_of_the_text(saved: Directory, tmp_path: Path) -> None:
    export_artifact(saved("sd1"), tmp_path / "out", ExchangeFormat.COMFYUI, convs=ConvStorage.BF16)
    written = load_file(tmp_path / "out" / "unet" / "diffusion_pytorch_model.safetensors")
    witness = written["input_blocks.3.1.transformer_blocks.0.attn2.to_k.weight"]
    assert witness.dtype == torch.bfloat16
    assert witness.shape == (64, 32)


def test_transformers_loads_our_compressed_tensors(saved: Directory, tmp_path: Path) -> None:
    pytest.importorskip("compressed_tensors")
    from transformers import CLIPTextModel

    export_artifact(saved("sd1"), tmp_path / "out", ExchangeFormat.COMPRESSED_TENSORS)
    ours = load_artifact(saved("sd1"), compute_dtype=torch.bfloat16).pipeline.text_encoder
    theirs = CLIPTextModel.from_pretrained(tmp_path / "out" / "text_encoder", dtype=torch.bfloat16)

    tokens = torch.arange(1, 17).view(1, 16)
    with torch.inference_mode():
        expected = ours(tokens).last_hidden_state
        result = theirs(tokens).last_hidden_state
    torch.testing.assert_close(result, expected, rtol=2**-5, atol=2**-5)


def test_another_programs_directory_is_read(saved: Directory, tmp_path: Path) -> None:
    export_artifact(saved("sd1"), tmp_path / "out", ExchangeFormat.MODELOPT)
    (tmp_path / "out" / RECORD_NAME).unlink()
    imported = import_model(tmp_path / "out")
    assert imported.record is None
    assert all(entry.sqnr_db is None for entry in imported.layers)
    assert {entry.name for entry in imported.layers} == {
        entry.name for entry in read_manifest(saved("sd1")).layers
    }


def test_nothing_is_left_after_a_failure(
    saved: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise InvalidInputError(name)

    with pytest.raises(InvalidInputError):
        export_artifact(saved("sd1"), tmp_path / "out", ExchangeFormat.MODELOPT, on_component=fail)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_replaced_only_when_asked(saved: Directory, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_artifact(saved("sd1"), out, ExchangeFormat.MODELOPT)
    with pytest.raises(InvalidInputError, match="exists"):
        export_artifact(saved("sd1"), out, ExchangeFormat.TORCHAO)
    export_artifact(saved("sd1"), out, ExchangeFormat.TORCHAO, overwrite=True)
    assert import_model(out).formats["unet"] is ExchangeFormat.TORCHAO
    artifact = Path(shutil.copytree(saved("sd1"), tmp_path / "artifact"))
    with pytest.raises(InvalidInputError, match="will not be overwritten"):
        export_artifact(saved("sd1"), artifact, ExchangeFormat.TORCHAO, overwrite=True)


def test_broken_directories_are_refused(saved: Directory, tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFoundError, match="model_index"):
        import_model(tmp_path)
    out = tmp_path / "out"
    export_artifact(saved("sd1"), out, ExchangeFormat.MODELOPT)
    record = json.loads((out / RECORD_NAME).read_text())
    (out / RECORD_NAME).write_text("{")
    with pytest.raises(ArtifactCorruptError, match="truncated"):
        import_model(out)
    (out / RECORD_NAME).write_text(json.dumps(record | {"exported_to": "elsewhere"}))
    with pytest.raises(ArtifactFormatError, match="record"):
        import_model(out)
    (out / RECORD_NAME).unlink()
    second = out / "unet" / "second.safetensors"
    shutil.copy(out / "unet" / "diffusion_pytorch_model.safetensors", second)
    with pytest.raises(ArtifactFormatError, match="2 weights files"):
        import_model(out)


def test_a_directory_without_nvfp4_is_refused(tiny_directory: Directory, tmp_path: Path) -> None:
    with pytest.raises(ArtifactFormatError, match="no model"):
        import_model(tiny_directory("sd1"))


def test_stable_diffusions_names_fit_ggml() -> None:
    """diffusers' defaults are the UNet of Stable Diffusion 1; ggml takes 63 characters."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
    names = {ldm_name(name, dict(unet.config)) for name in unet.state_dict()}
    assert len(names) == len(unet.state_dict())
    assert max(map(len, names)) <= 63
    back = convert_ldm_unet_checkpoint(
        {f"model.diffusion_model.{name}": name for name in names}, dict(unet.config)
    )
    assert back.keys() == unet.state_dict().keys()


def test_names_that_ldm_lacks_stay() -> None:
    assert ldm_name("encoder_hid_proj.weight", {}) == "encoder_hid_proj.weight"
    assert ldm_name("conv_in.bias", {"layers_per_block": [1, 2]}) == "conv_in.bias"

"""Every layout gives back every bit, over any shape; other tools read the same numbers."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from safetensors.torch import load_file

from nvfp4_ddim_optimizer.artifacts.exchange import (
    Component,
    ExchangeFormat,
    detect_format,
    layout_of,
)
from nvfp4_ddim_optimizer.artifacts.exchange.layout import read_safetensors
from nvfp4_ddim_optimizer.errors import (
    ArtifactCorruptError,
    ArtifactFormatError,
    InvalidInputError,
)
from nvfp4_ddim_optimizer.nvfp4 import dequantize, dequantize_matrix
from tests.unit.nvfp4_ddim_optimizer.artifacts.exchange.samples import (
    assert_same,
    components,
    quantised,
    random_layer,
    shapes_of,
)

FORMATS = list(ExchangeFormat)


def one_linear(shape: tuple[int, int] = (130, 192)) -> Component:
    bias = torch.randn(shape[0]).bfloat16()
    return Component({"net.to_q": quantised(shape)}, {"net.to_q.bias": bias})


def written(component: Component, kind: ExchangeFormat, directory: Path) -> Path:
    layout = layout_of(kind)
    path = directory / f"model{layout.suffix}"
    layout.write(component, path)
    return path


@pytest.mark.parametrize("kind", FORMATS)
@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(component=components())
def test_round_trip(kind: ExchangeFormat, component: Component) -> None:
    if kind is ExchangeFormat.GGUF:
        pytest.importorskip("gguf")
    with TemporaryDirectory() as directory:
        path = written(component, kind, Path(directory))
        assert detect_format(path) is kind
        assert_same(layout_of(kind).read(path, shapes_of(component)), component)


@pytest.mark.parametrize("kind", FORMATS)
def test_files_are_readable_by_all(kind: ExchangeFormat, tmp_path: Path) -> None:
    path = written(one_linear(), kind, tmp_path)
    assert path.stat().st_mode & 0o044


def test_compressed_tensors_decompresses_to_our_numbers(tmp_path: Path) -> None:
    base = pytest.importorskip("compressed_tensors.compressors.nvfp4.base")
    quantization = pytest.importorskip("compressed_tensors.quantization")
    component = one_linear()
    layer = component.layers["net.to_q"]
    layout = layout_of(ExchangeFormat.COMPRESSED_TENSORS)
    path = written(component, ExchangeFormat.COMPRESSED_TENSORS, tmp_path)
    config = layout.config(component, ["kept"])["quantization_config"]
    parsed = quantization.QuantizationConfig.model_validate(config)
    scheme = parsed.config_groups["group_0"]
    state = {
        name.removeprefix("net.to_q."): tensor
        for name, tensor in load_file(path).items()
        if ".weight" in name
    }

    theirs = base.NVFP4PackedCompressor.decompress(state, scheme)["weight"]

    # It divides by a rounded reciprocal in float32 and rounds to bfloat16: one unit there at most.
    ours = dequantize(layer, torch.bfloat16)
    assert theirs.dtype == torch.bfloat16
    assert parsed.format == "nvfp4-pack-quantized"
    difference = theirs.view(torch.int16).int() - ours.view(torch.int16).int()
    assert int(difference.abs().max()) <= 1


def test_compressed_tensors_of_others_have_no_exact_scale(tmp_path: Path) -> None:
    layer = random_layer((16, 32), seed=5)
    path = tmp_path / "model.safetensors"
    layout = layout_of(ExchangeFormat.COMPRESSED_TENSORS)
    layout.write(Component({"a.b": layer}, {}), path)
    tensors, _ = read_safetensors(path)

    theirs = layout.unpack(path, tensors, {}, {"a.b": (16, 32)}).layers["a.b"]

    assert theirs.global_scale == layer.global_scale.reciprocal().reciprocal()


def test_a_scale_without_reciprocal_is_refused() -> None:
    layer = random_layer((4, 16), seed=1)
    object.__setattr__(layer, "global_scale", torch.tensor(2.0**-140))
    with pytest.raises(InvalidInputError, match="not finite"):
        layout_of(ExchangeFormat.COMPRESSED_TENSORS).pack(Component({"a": layer}, {}))


@pytest.mark.parametrize("shape", [(130, 192), (1, 16), (320, 1296)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_torchao_rebuilds_our_tensor(
    shape: tuple[int, int], dtype: torch.dtype, tmp_path: Path
) -> None:
    support = pytest.importorskip("torchao.prototype.safetensors.safetensors_support")
    component = one_linear(shape)
    path = written(component, ExchangeFormat.TORCHAO, tmp_path)
    tensors, metadata = read_safetensors(path)

    state, left = support.unflatten_tensor_state_dict(tensors, metadata)

    assert not left
    weight = state["net.to_q.weight"]
    assert type(weight).__name__ == "NVFP4Tensor"
    assert weight.shape == shape
    assert torch.equal(weight.dequantize(dtype), dequantize(component.layers["net.to_q"], dtype))
    assert torch.equal(state["net.to_q.bias"], component.plain["net.to_q.bias"])


def test_a_linear_layer_runs_on_torchaos_tensor(tmp_path: Path) -> None:
    support = pytest.importorskip("torchao.prototype.safetensors.safetensors_support")
    component = one_linear((48, 64))
    state, _ = support.unflatten_tensor_state_dict(
        *read_safetensors(written(component, ExchangeFormat.TORCHAO, tmp_path))
    )
    layer = torch.nn.Linear(64, 48, dtype=torch.bfloat16)
    layer.load_state_dict({"weight": state["net.to_q.weight"], "bias": layer.bias}, assign=True)
    x = torch.randn(3, 64).bfloat16()
    dense = dequantize(component.layers["net.to_q"], torch.bfloat16)
    assert torch.equal(layer(x), torch.nn.functional.linear(x, dense, layer.bias))


def test_what_torchao_flattens_is_read(tmp_path: Path) -> None:
    support = pytest.importorskip("torchao.prototype.safetensors.safetensors_support")
    nvfp4 = pytest.importorskip("torchao.prototype.mx_formats.nvfp4_tensor")
    from safetensors.torch import save_file

    original = torch.randn(70, 96)
    scale = nvfp4.per_tensor_amax_to_scale(original.abs().amax())
    layout = layout_of(ExchangeFormat.TORCHAO)
    for swizzled in (True, False):
        theirs = nvfp4.NVFP4Tensor.to_nvfp4(
            original, per_tensor_scale=scale, is_swizzled_scales=swizzled
        )
        tensors, metadata = support.flatten_tensor_state_dict({"net.weight": theirs})
        path = tmp_path / f"{swizzled}.safetensors"
        save_file(tensors, path, metadata=metadata)

        component = layout.read(path, {"net": (70, 96)})

        assert torch.equal(dequantize(component.layers["net"]), theirs.dequantize(torch.float32))


@pytest.mark.parametrize("shape", [(130, 192), (16, 64), (33, 320)])
def test_gguf_dequantises_to_our_numbers(shape: tuple[int, int], tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    component = one_linear(shape)
    layer = component.layers["net.to_q"]
    path = written(component, ExchangeFormat.GGUF, tmp_path)

    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}

    weight = tensors["net.to_q.weight"]
    assert weight.tensor_type == gguf.GGMLQuantizationType.NVFP4
    assert weight.shape.tolist() == list(reversed(shape))
    theirs = torch.from_numpy(gguf.quants.dequantize(weight.data, weight.tensor_type))
    unscaled = dequantize_matrix(layer.codes, layer.scales, torch.ones(()), dtype=torch.float32)
    assert torch.equal(theirs, unscaled)
    assert tensors["net.to_q.scale"].data.tolist() == [float(layer.global_scale)]


def test_comfyui_reads_our_numbers(tmp_path: Path) -> None:
    kitchen = pytest.importorskip("comfy_kitchen.backends.eager.quantization")
    for shape in ((130, 192), (16, 64), (33, 48)):
        component = one_linear(shape)
        layer = component.layers["net.to_q"]
        state = load_file(written(component, ExchangeFormat.COMFYUI, tmp_path))
        theirs = kitchen.dequantize_nvfp4(
            state["net.to_q.weight"],
            state["net.to_q.weight_scale_2"],
            state["net.to_q.weight_scale"],
            torch.float32,
        )
        assert torch.equal(theirs[: shape[0], : shape[1]], dequantize(layer))
        assert not theirs[shape[0] :].any()


def test_comfyui_bytes_are_as_documented() -> None:
    """High nibble first, both sides padded, scales swizzled, and the layer marked."""
    layer = random_layer((17, 40), seed=3)
    tensors = layout_of(ExchangeFormat.COMFYUI).pack(Component({"a": layer}, {}))  # type: ignore[attr-defined]
    assert tensors["a.weight"].shape == (32, 24)
    assert int(tensors["a.weight"][2, 5]) == (
        int(layer.codes[2, 5]) % 16 * 16 + int(layer.codes[2, 5]) // 16
    )
    assert tensors["a.weight_scale"].shape == (128, 4)
    flat = tensors["a.weight_scale"].view(torch.uint8).flatten()
    assert flat[2 * 16 + 1] == layer.scales.view(torch.uint8)[2, 1]
    assert json.loads(bytes(tensors["a.comfy_quant"].tolist())) == {"format": "nvfp4"}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_for_another_model_is_refused(kind: ExchangeFormat, tmp_path: Path) -> None:
    path = written(one_linear(), kind, tmp_path)
    layout = layout_of(kind)
    with pytest.raises(ArtifactFormatError, match=r"net\.to_q"):
        layout.read(path, {"other": (130, 192)})
    with pytest.raises(ArtifactFormatError, match=r"net\.to_q"):
        layout.read(path, {"net.to_q": (200, 512)})


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_file_is_corrupt(kind: ExchangeFormat, tmp_path: Path) -> None:
    path = written(one_linear(), kind, tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ArtifactCorruptError):
        layout_of(kind).read(path, {"net.to_q": (130, 192)})


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    save_file({"a.weight_packed": torch.zeros(2, 8, dtype=torch.uint8)}, path)
    with pytest.raises(ArtifactFormatError, match=r"a\.weight_scale"):
        layout_of(ExchangeFormat.COMPRESSED_TENSORS).read(path, {"a": (2, 16)})


def test_a_convolution_of_unknown_order_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    layout = layout_of(ExchangeFormat.MODELOPT)
    path = tmp_path / "model.safetensors"
    for shape, fits in (((8, 16, 3, 3), False), ((8, 16, 1, 1), True)):
        tensors = layout.pack(Component({"a": random_layer(shape, 0)}, {}))  # type: ignore[attr-defined]
        save_file(tensors, path)
        if fits:
            assert layout.read(path, {"a": shape}).layers["a"].shape == shape
        else:
            with pytest.raises(ArtifactFormatError, match="ohwi"):
                layout.read(path, {"a": shape})


@pytest.mark.parametrize("mark", ['{"format":"mxfp8"}', '{"format":"nvfp4","convrot":true}', "["])
def test_other_comfyui_formats_are_refused(mark: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    layout = layout_of(ExchangeFormat.COMFYUI)
    tensors = layout.pack(one_linear())  # type: ignore[attr-defined]
    tensors["net.to_q.comfy_quant"] = torch.tensor(list(mark.encode()), dtype=torch.uint8)
    path = tmp_path / "model.safetensors"
    save_file(tensors, path)
    with pytest.raises(ArtifactFormatError, match=r"net\.to_q"):
        layout.read(path, {"net.to_q": (130, 192)})


def test_files_of_other_kinds(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a.weight": torch.zeros(2)}, tmp_path / "plain.safetensors")
    assert detect_format(tmp_path / "plain.safetensors") is None
    with pytest.raises(ArtifactFormatError, match="neither"):
        detect_format(tmp_path / "model.bin")

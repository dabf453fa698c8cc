import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nvfp4_ddim_optimizer.errors import ModelNotSupportedError
from nvfp4_ddim_optimizer.native import library
from nvfp4_ddim_optimizer.nn import convolve_by_winograd
from nvfp4_ddim_optimizer.planning import measure_model
from nvfp4_ddim_optimizer.planning.trace import trace
from nvfp4_ddim_optimizer.sources import bundled_models, locate_model

_FOOTPRINT_PARTS = {"text_encoder": "text_encoder", "unet": "unet", "vae": "vae"}


@pytest.mark.parametrize("kind", ["sd1", "sd2", "taesd"])
def test_knows_a_model_from_its_configuration(
    kind: str, tiny_directory: Callable[[str], Path], tiny_pipeline: Callable[..., Any]
) -> None:
    measured = measure_model(locate_model(tiny_directory(kind)))
    pipeline = tiny_pipeline(kind)
    for name in _FOOTPRINT_PARTS:
        parameters = sum(p.numel() for p in getattr(pipeline, name).parameters())
        assert getattr(measured.footprint, name).dense_bytes == 4 * parameters
    factor = 2 ** (len(pipeline.vae.config.block_out_channels) - 1)
    native = 8 * factor
    assert (measured.native_height, measured.native_width) == (native, native)
    assert measured.picture.pixels == measured.footprint.unet_call.pixels
    assert measured.footprint.unet_call.convolution_flops > 0
    assert not measured.footprint.is_mapped


def test_no_weight_is_read(tiny_directory: Callable[[str], Path], tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(tiny_directory("sd1"), bare, ignore=shutil.ignore_patterns("*.safetensors"))
    whole = measure_model(locate_model(tiny_directory("sd1")))
    assert measure_model(locate_model(bare)) == whole


def test_an_artifact_is_as_large_as_its_files() -> None:
    directory = bundled_models()["emoji-64"]
    footprint = measure_model(locate_model(directory)).footprint
    assert footprint.is_mapped
    for name in ("text_encoder", "unet"):
        (file,) = (directory / name).glob("*.safetensors")
        stored = getattr(footprint, name).stored_bytes
        assert stored <= 1.05 * max(file.stat().st_size, _plain_bytes(file))


def _plain_bytes(path: Path) -> int:
    """What a file's tensors take once decompressed."""
    from nvfp4_ddim_optimizer.artifacts.reader import WeightsFile

    with WeightsFile(path) as file:
        return sum(tensor.bytes for tensor in file.tensors.values())


def test_tiles_take_less_where_there_are_some(tiny_directory: Callable[[str], Path]) -> None:
    kl = measure_model(locate_model(tiny_directory("sd1"))).footprint
    assert kl.tiled_decoding.peak_bytes(10**6, weights=False) < 0.7 * kl.decoding.peak_bytes(
        10**6, weights=False
    )
    tiny = measure_model(locate_model(tiny_directory("taesd"))).footprint
    assert tiny.tiled_decoding == tiny.decoding


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unet": ["diffusers", "UNet3DConditionModel"]}, "unet is UNet3DConditionModel"),
        ({"vae": [None, None]}, "could not load.*it has no vae"),
    ],
)
def test_other_models_are_refused(
    change: dict[str, Any], message: str, tiny_directory: Callable[[str], Path], tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_directory("sd1"), model)
    index = model / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | change))
    with pytest.raises(ModelNotSupportedError, match=message):
        measure_model(locate_model(model))


@pytest.mark.parametrize("winograd", [False, True])
def test_the_trace_agrees_with_what_a_real_pass_allocates(
    winograd: bool, tiny_pipeline: Callable[..., Any]
) -> None:
    """Against torch's own profiler, on a size at which activations outweigh everything."""
    if winograd and library() is None:
        pytest.skip("the native kernels are not built")
    vae, side = tiny_pipeline("sd1").vae, 64
    empty, latent = copy.deepcopy(vae).to("meta"), (1, 4, side, side)
    pixels = (2 * side) ** 2
    work = trace(
        empty, pixels, lambda: empty.decode(torch.empty(latent, device="meta")), winograd=winograd
    )
    if winograd:
        convolve_by_winograd(vae)
    with torch.inference_mode(), torch.profiler.profile(profile_memory=True) as profile:
        vae.decode(torch.randn(latent))
    live = peak = 0
    for event in profile.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    # Without the kernel, what convolutions take for themselves is not torch's to count.
    moments = work.moments if winograd else work.moments[-1:]
    predicted = replace(work, moments=moments).peak_bytes(pixels, weights=winograd)
    assert peak <= 1.05 * predicted
    assert peak >= 0.4 * predicted

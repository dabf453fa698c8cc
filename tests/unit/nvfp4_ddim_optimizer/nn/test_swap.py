"""Quantising whole diffusers and transformers models."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from nvfp4_ddim_contracts import DataFree, LayerEntry, ScaleSearch
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.nn import (
    LayerPolicy,
    NVFP4Conv2d,
    NVFP4Layer,
    NVFP4Linear,
    Residency,
    plan_layers,
    quantize_module,
    replace_with_empty,
    set_residency,
)
from nvfp4_ddim_optimizer.nvfp4 import DataFreeQuantizer, dequantize

ABSMAX = DataFreeQuantizer(DataFree(scale_search=ScaleSearch.ABSMAX))
SWEEP = DataFreeQuantizer(DataFree(scale_search=ScaleSearch.SWEEP))

Build = Callable[..., Any]


def run_unet(unet: nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 4, 8, 8, generator=generator)
    text = torch.randn(2, 16, 32, generator=generator)
    with torch.no_grad():
        result: torch.Tensor = unet(latents, 500, text).sample
    return result


@pytest.mark.parametrize("kind", ["sd1", "sd2"])
def test_a_unet(tiny_pipeline: Build, kind: str) -> None:
    unet = tiny_pipeline(kind).unet
    before = run_unet(unet)
    plan = plan_layers(unet, "unet", LayerPolicy())
    seen: list[LayerEntry] = []

    entries = quantize_module(unet, "unet", LayerPolicy(), SWEEP, seen.append)

    assert seen == entries
    assert [entry.name for entry in entries] == [p.name for p in plan if p.keep_reason is None]
    layers = {n: m for n, m in unet.named_modules() if isinstance(m, NVFP4Layer)}
    assert {entry.name: entry.shape for entry in entries} == {n: m.shape for n, m in layers.items()}
    assert {type(layer) for layer in layers.values()} == {NVFP4Linear, NVFP4Conv2d}
    assert any("time_emb_proj" in name for name in layers)
    for kept in ("conv_in", "conv_out", "time_embedding.linear_1", "time_embedding.linear_2"):
        assert not isinstance(unet.get_submodule(kept), NVFP4Layer)
    assert all(4.5 <= entry.bits_per_weight < 6 for entry in entries)
    assert all(20 < entry.sqnr_db < 25 for entry in entries)
    assert (run_unet(unet) - before).norm() < 0.25 * before.norm()
    assert unet.dtype == torch.float32
    assert unet.device.type == "cpu"


def test_both_residencies_give_the_same_picture(tiny_pipeline: Build) -> None:
    unet = tiny_pipeline("sd1").unet
    quantize_module(unet, "unet", LayerPolicy())
    packed = run_unet(unet)
    set_residency(unet, Residency.RESIDENT)
    assert torch.equal(run_unet(unet), packed)
    assert torch.equal(run_unet(unet), packed)


def test_a_unet_runs_in_bfloat16_and_comes_back(tiny_pipeline: Build) -> None:
    unet = tiny_pipeline("sd1").unet
    quantize_module(unet, "unet", LayerPolicy())
    exact = run_unet(unet)
    plain = {name: value.clone() for name, value in unet.named_parameters()}
    unet.to(torch.bfloat16)
    assert unet.dtype == torch.bfloat16
    latents, text = torch.zeros(1, 4, 8, 8), torch.zeros(1, 16, 32)
    with torch.no_grad():
        assert unet(latents.bfloat16(), 3, text.bfloat16()).sample.dtype == torch.bfloat16
    unet.to(torch.float32)
    for name, parameter in unet.named_parameters():
        parameter.data = plain[name]
    assert torch.equal(run_unet(unet), exact)


def test_a_text_encoder(tiny_pipeline: Build) -> None:
    pipeline = tiny_pipeline("sd1")
    encoder = pipeline.text_encoder
    tokens = pipeline.tokenizer("red", padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        before = encoder(tokens).last_hidden_state
        entries = quantize_module(encoder, "text_encoder", LayerPolicy())
        after = encoder(tokens).last_hidden_state
    assert len(entries) == 2 * 6  # q, k, v, out, fc1, fc2 in each of two layers
    assert not any(type(module) is nn.Linear for module in encoder.modules())
    assert encoder.dtype == torch.float32
    assert (after - before).norm() < 0.25 * before.norm()


def test_the_autoencoder_stays(tiny_pipeline: Build) -> None:
    vae = tiny_pipeline("sd1").vae
    assert quantize_module(vae, "vae", LayerPolicy()) == []
    reasons = {planned.keep_reason for planned in plan_layers(vae, "vae", LayerPolicy())}
    assert len(reasons) == 1
    assert None not in reasons


def test_the_report_is_measured() -> None:
    model = nn.Sequential(nn.Linear(64, 64))
    weight = model[0].weight.detach().double()
    (entry,) = quantize_module(model, "unet", LayerPolicy())
    error = dequantize(model[0].quantized).double() - weight
    assert entry.sqnr_db == pytest.approx(
        10 * math.log10(float(weight.square().sum() / error.square().sum()))
    )
    assert entry.bits_per_weight == 4.5 + 32 / 64**2


def test_nothing_lost_is_reported_as_a_number() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))
    nn.init.zeros_(model[0].weight)
    nn.init.constant_(model[1].weight, 6.0)
    entries = quantize_module(model, "unet", LayerPolicy(), ABSMAX)
    assert [entry.sqnr_db for entry in entries] == [200.0, 200.0]


def test_shared_layers_stay_shared() -> None:
    layer = nn.Linear(64, 64)
    model = nn.ModuleDict({"a": layer, "b": nn.Sequential(layer)})
    assert len(quantize_module(model, "unet", LayerPolicy())) == 1
    assert model["a"] is model["b"][0]
    assert isinstance(model["a"], NVFP4Linear)


def test_layers_whose_owners_read_their_weight_stay() -> None:
    attention = nn.MultiheadAttention(64, 4)
    assert quantize_module(attention, "unet", LayerPolicy()) == []


def test_training_mode_is_taken_over() -> None:
    model = nn.Sequential(nn.Linear(64, 64)).eval()
    quantize_module(model, "unet", LayerPolicy())
    assert not model[0].training


def test_the_broken_layer_is_named() -> None:
    model = nn.ModuleDict({"good": nn.Linear(64, 64), "bad": nn.Linear(64, 64)})
    nn.init.constant_(model["bad"].weight, float("inf"))
    with pytest.raises(InvalidInputError, match=r"unet\.bad: .*infinity"):
        quantize_module(model, "unet", LayerPolicy())


def test_empty_layers_for_loading() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.Conv2d(8, 8, 3), nn.ReLU())
    replace_with_empty(model, ["0", "1"])
    assert model[0].weight.is_meta
    assert isinstance(model[1], NVFP4Conv2d)
    with pytest.raises(InvalidInputError, match="'2' is no linear layer"):
        replace_with_empty(model, ["2"])
    with pytest.raises(InvalidInputError, match="'nowhere'"):
        replace_with_empty(model, ["nowhere"])

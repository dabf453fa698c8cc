import math
from pathlib import Path

import pytest

from benchmarks.evaluation.noising import relative_error
from benchmarks.evaluation.plots import plot_sensitivity
from benchmarks.evaluation.sensitivity import (
    POLICIES,
    LayerError,
    PolicyError,
    SensitivityResults,
    kind_of,
    layer_names,
    measure_layer,
    measure_policy,
    summarise,
)
from benchmarks.evaluation.weight_formats import FORMATS
from nvfp4_ddim_optimizer.nn import LayerPolicy

from .conftest import TinySubject

SWEEP = FORMATS["nvfp4-sweep"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("text_encoder.encoder.layers.0.self_attn.q_proj", "text encoder"),
        ("unet.conv_in", "conv_in, conv_out"),
        ("unet.conv_in.conv", "conv_in, conv_out"),
        ("unet.time_embedding.linear_1", "time MLP"),
        ("unet.down_blocks.0.resnets.1.time_emb_proj", "time_emb_proj"),
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0", "attention"),
        ("unet.mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj", "feed-forward"),
        ("unet.mid_block.attentions.0.proj_in", "proj_in, proj_out"),
        ("unet.up_blocks.0.resnets.0.conv_shortcut", "shortcut conv"),
        ("unet.down_blocks.0.resnets.1.conv1", "conv"),
        ("unet.blocks.1.conv", "conv"),
        ("unet.class_embedding", "other"),
    ],
)
def test_layers_have_the_kind_their_name_says(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_one_layer_is_quantised_at_a_time(tiny: TinySubject) -> None:
    exact = tiny.probe()
    names = layer_names(tiny)  # type: ignore[arg-type]
    assert names == ["unet.0", "unet.2"]
    first, second = (measure_layer(tiny, name, SWEEP, exact) for name in names)  # type: ignore[arg-type]
    assert (first.parameters, second.parameters) == (16 * 32 * 9, 32 * 64)
    assert second.bytes_saved == pytest.approx(32 * 64 * 11.5 / 8, rel=0.01)
    both = measure_policy(tiny, "default", SWEEP, exact)  # type: ignore[arg-type]
    together = math.hypot(first.output_error, second.output_error)
    assert both.output_error == pytest.approx(together, rel=0.2)
    assert relative_error(exact, tiny.probe()) == 0


def test_kinds_are_summed_as_squares_and_sorted_by_what_a_megabyte_costs() -> None:
    layers = [
        LayerError("unet.a.conv1", "conv", 100, 1e6, 0.01, 0.03, None),
        LayerError("unet.b.conv1", "conv", 100, 1e6, 0.01, 0.04, None),
        LayerError("unet.conv_in", "conv_in, conv_out", 10, 1e4, 0.01, 0.05, "tiny"),
    ]
    first, second = summarise(layers)
    assert (first.kind, first.kept, first.layers) == ("conv_in, conv_out", True, 1)
    assert second.output_error == pytest.approx(0.05)
    assert second.squared_error_per_megabyte == pytest.approx(0.0025 / 2)
    assert not second.kept


def test_policies_differ_from_the_default_as_they_say() -> None:
    default = LayerPolicy()
    assert POLICIES["default"] == default
    names = {rule.layer for rule in default.rules}
    for policy in ("with conv_in, conv_out", "with time MLP"):
        assert len(names - {rule.layer for rule in POLICIES[policy].rules}) == 1


def test_plots_layers(tmp_path: Path) -> None:
    layer = LayerError("unet.a.conv1", "conv", 100, 1e6, 0.01, 0.03, None)
    results = SensitivityResults("tiny", "NVFP4", [layer], [PolicyError("default", 1e6, 0.03)])
    plot_sensitivity([results], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 0

import copy

import pytest
import torch

from benchmarks.evaluation.noising import relative_error
from benchmarks.evaluation.swapping import swapped, weights_digest
from benchmarks.evaluation.weight_formats import FORMATS, FULL_PRECISION, preset_format
from nvfp4_ddim_contracts import DataFree, Preset, ScaleSearch
from nvfp4_ddim_optimizer.nn import KeepRule, LayerPolicy, quantize_module
from nvfp4_ddim_optimizer.nvfp4 import quantizer_for

from .conftest import TinySubject

POLICY = LayerPolicy()


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_changes_weights_only_inside_the_block(tiny: TinySubject, name: str) -> None:
    before = copy.deepcopy(tiny.unet.state_dict())
    digest = weights_digest(tiny.components)
    with swapped(tiny, FORMATS[name], POLICY) as cost:
        assert cost.digest == weights_digest(tiny.components)
        assert (cost.digest == digest) == (FORMATS[name] is FULL_PRECISION)
    for key, value in tiny.unet.state_dict().items():
        assert torch.equal(value, before[key])


def test_puts_the_weights_back_when_sampling_fails(tiny: TinySubject) -> None:
    digest = weights_digest(tiny.components)
    with (
        pytest.raises(RuntimeError, match="out of memory"),
        swapped(tiny, FORMATS["q4_0"], POLICY),
    ):
        raise RuntimeError("out of memory")
    assert weights_digest(tiny.components) == digest


def test_computes_what_the_librarys_layers_compute(tiny: TinySubject) -> None:
    library = copy.deepcopy(tiny.unet)
    quantizer = quantizer_for(DataFree(scale_search=ScaleSearch.SWEEP))
    quantize_module(library, "unet", POLICY, quantizer)
    x = torch.randn(2, 16, 3, 3)
    with torch.no_grad(), swapped(tiny, FORMATS["nvfp4-sweep"], POLICY):
        assert torch.allclose(tiny.unet(x), library(x), rtol=1e-5, atol=1e-5)


def test_calibration_corrects_biases_too_and_they_come_back(tiny: TinySubject) -> None:
    calibrated = preset_format(Preset.QUALITY)
    exact, own = tiny.probe(), tiny.last.bias.clone()
    errors = []
    for known in (FORMATS["nvfp4-absmax"], calibrated):
        with swapped(tiny, known, POLICY):
            assert torch.equal(tiny.last.bias, own) == (known is not calibrated)
            errors.append(relative_error(exact, tiny.probe()))
        assert torch.equal(tiny.last.bias, own)
    assert errors[1] < errors[0]


def test_a_policy_that_quantises_nothing_costs_16_bits_a_parameter(tiny: TinySubject) -> None:
    nothing = LayerPolicy(rules=(KeepRule(".*", "", "to see nothing change"),))
    with swapped(tiny, FORMATS["nvfp4-sweep"], nothing) as cost:
        pass
    assert cost.relative_error == cost.bits_per_weight == 0
    parameters = sum(p.numel() for part in tiny.components.values() for p in part.parameters())
    assert cost.stored_bytes == 2 * parameters


def test_counts_kept_parameters_at_16_bits(tiny: TinySubject) -> None:
    with swapped(tiny, FORMATS["q4_0"], POLICY) as cost:
        weights, biases = 16 * 32 * 9 + 32 * 64, 32 + 64
        assert cost.bits_per_weight == 4.5
        assert cost.stored_bytes == (4.5 * weights + 16 * biases) / 8
        assert 0 < cost.relative_error < 0.02


def test_finds_nvfp4_smaller_in_a_file_than_in_memory(tiny: TinySubject) -> None:
    with swapped(tiny, FORMATS["nvfp4-absmax"], POLICY) as cost:
        assert 3 < cost.stored_bits_per_weight < cost.bits_per_weight
        assert cost.bits_per_weight == pytest.approx(4.5, abs=0.02)

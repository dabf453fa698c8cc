from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.formats import FakeQuantized, hqq, nf4, q4_0, q4_k

Quantise = Callable[[torch.Tensor], FakeQuantized]

FORMATS = (hqq, nf4, q4_0, q4_k)
PICKED = [0, 1, 2, 3, 100, 101, 300, 301, 511]


def weight() -> torch.Tensor:
    i = torch.arange(512, dtype=torch.float64)
    values = (i * 0.7).sin() + 0.3 * (i * i * 0.013).cos() + 0.06
    return (values.float() * 0.1).view(2, 256)


# Weights 0, 1, 2, ... (PICKED) after a round trip, and sums of all weights * cos(index) by quarter.
# Q4_0 and Q4_K: quantize_row_*_ref of ggml, dequantised by gguf 0.19. NF4: bitsandbytes 0.50,
# quantize_4bit with compress_statistics. HQQ: Quantizer.quantize of hqq 0.2.8 with its base config.
PEERS = {
    q4_0: (
        [
            0.03363037,
            0.10089111,
            0.13452148,
            0.1177063,
            0.06762695,
            0.13525391,
            0.0657959,
            -0.04934692,
            -0.03393555,
        ],
        [0.27103347, -0.15739758, -0.09458936, -0.20186654],
    ),
    q4_k: (
        [
            0.03334093,
            0.1017518,
            0.13595724,
            0.11885452,
            0.06642604,
            0.13373351,
            0.05860758,
            -0.04566383,
            -0.03666687,
        ],
        [0.22814062, -0.20583736, -0.10403265, -0.18249668],
    ),
    nf4: (
        [
            0.0333198,
            0.09787719,
            0.13538456,
            0.13538456,
            0.07608981,
            0.13524264,
            0.05797662,
            -0.03741907,
            -0.03863007,
        ],
        [0.29491283, -0.21223094, -0.0405486, -0.07544096],
    ),
    hqq: (
        [
            0.03511012,
            0.10359156,
            0.13783228,
            0.12071192,
            0.06581569,
            0.13307643,
            0.06505537,
            -0.03711748,
            -0.03527248,
        ],
        [0.27891359, -0.25916647, -0.10438362, -0.20318577],
    ),
}


@pytest.mark.parametrize("quantise", FORMATS)
def test_gives_back_what_the_public_implementation_does(quantise: Quantise) -> None:
    picked, sums = PEERS[quantise]
    found = quantise(weight()).weight.double().flatten()
    assert found[PICKED].tolist() == pytest.approx(picked, abs=1e-7)
    waves = torch.cos(torch.arange(512, dtype=torch.float64))
    assert (found * waves).view(4, 128).sum(dim=1).tolist() == pytest.approx(sums, abs=2e-6)


@pytest.mark.parametrize(
    ("quantise", "bits_per_weight"),
    [(q4_0, 4.5), (q4_k, 4.5), (hqq, 4.5), (nf4, 4 + 8 / 64 + 32 / (64 * 256) + 32 / 65536)],
)
def test_counts_every_bit_that_is_stored(quantise: Quantise, bits_per_weight: float) -> None:
    assert quantise(torch.randn(256, 256)).bits / 65536 == pytest.approx(bits_per_weight)


# Signal to noise of a normal distribution: 10 log10(1 / relative error), as published.
@pytest.mark.parametrize(
    ("quantise", "decibels"), [(q4_0, 21.3), (q4_k, 22.9), (hqq, 21.3), (nf4, 20.7)]
)
def test_loses_what_the_format_is_known_to_lose_on_gaussian_weights(
    quantise: Quantise, decibels: float
) -> None:
    w = torch.randn(256, 1024, generator=torch.Generator().manual_seed(0))
    error = (quantise(w).weight - w).square().mean() / w.square().mean()
    assert float(-10 * torch.log10(error)) == pytest.approx(decibels, abs=0.15)


@given(
    seed=st.integers(0, 500),
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple),
    scale=st.sampled_from([1e-6, 1e-2, 1.0, 50.0]),
)
@pytest.mark.parametrize("quantise", FORMATS)
def test_keeps_the_shape_and_stays_near_whatever_the_size(
    quantise: Quantise, seed: int, shape: tuple[int, ...], scale: float
) -> None:
    w = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale
    found = quantise(w).weight
    assert found.shape == w.shape
    assert found.dtype == torch.float32
    assert bool(found.isfinite().all())
    assert float((found - w).abs().max()) <= 0.5 * float(w.abs().max()) + 1e-4


@pytest.mark.parametrize("quantise", FORMATS)
def test_zeros_stay_zeros(quantise: Quantise) -> None:
    assert torch.equal(quantise(torch.zeros(3, 100)).weight, torch.zeros(3, 100))

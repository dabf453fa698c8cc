from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.footprint import (
    Component,
    Footprint,
    Picture,
    Weights,
    Work,
    peak_bytes,
    rough_footprint,
)

MB = 10**6
SIDE = 512
PIXELS = SIDE * SIDE
FOOTPRINT = Footprint(
    text_encoder=Component(100 * MB, 500 * MB),
    unet=Component(500 * MB, 3400 * MB, never_dense_bytes=2000 * MB),
    vae=Component(100 * MB, 300 * MB),
    unet_call=Work(PIXELS, ((130 * MB, 0), (40 * MB, 100 * MB))),
    decoding=Work(PIXELS, ((1200 * MB, 20 * MB),)),
    tiled_decoding=Work(PIXELS, ((500 * MB, 20 * MB),)),
    tile_bytes=60 * MB,
)
ONE = Picture(SIDE, SIDE)


def peak(picture: Picture = ONE, weights: Weights = Weights.MAPPED, *, tiled: bool = True) -> int:
    return peak_bytes(FOOTPRINT, picture, weights, tiled=tiled)


def test_mapped_weights_count_while_their_component_works() -> None:
    unet = 500 * MB + 2 * 130 * MB
    decoding = 100 * MB + 500 * MB + 20 * MB + 60 * MB
    assert peak() == max(unet, decoding) == unet
    assert peak(replace(ONE, passes=1)) == decoding
    assert peak(tiled=False) == 100 * MB + 1220 * MB


def test_packed_weights_stay_in_memory() -> None:
    assert peak(replace(ONE, passes=8), Weights.PACKED) == 700 * MB + 8 * 130 * MB
    assert peak(weights=Weights.PACKED) == 700 * MB + 500 * MB + 20 * MB + 60 * MB


def test_kept_weights_add_up_less_those_that_are_never_dequantised() -> None:
    text, unet, vae = 600 * MB, 500 * MB + 1400 * MB, 400 * MB
    assert peak(weights=Weights.KEPT) == text + unet + vae + 500 * MB + 60 * MB
    half = peak_bytes(FOOTPRINT, ONE, Weights.KEPT, tiled=True, number_bytes=2)
    assert half == 700 * MB + 2100 * MB + 250 * MB + 60 * MB


def test_pictures_are_decoded_one_at_a_time() -> None:
    finished = 3 * PIXELS * 3 * 4
    batch = replace(ONE, batch=4, passes=1)
    assert peak(batch) == 500 * MB + 4 * 130 * MB
    assert peak(batch, tiled=False) == 100 * MB + 1220 * MB + finished


@given(
    side=st.integers(8, 4096),
    batch=st.integers(1, 16),
    passes=st.integers(1, 2),
    weights=st.sampled_from(list(Weights)),
    tiled=st.booleans(),
)
def test_more_work_never_takes_less(
    side: int, batch: int, passes: int, weights: Weights, tiled: bool
) -> None:
    picture = Picture(side, side, batch, passes)
    here = peak(picture, weights, tiled=tiled)
    for more in (
        replace(picture, height=side + 8),
        replace(picture, batch=batch + 1),
        replace(picture, passes=passes + 1),
    ):
        assert peak(more, weights, tiled=tiled) >= here
    assert peak(picture, Weights.MAPPED, tiled=tiled) <= peak(picture, Weights.PACKED, tiled=tiled)
    assert peak(picture, Weights.PACKED, tiled=tiled) <= peak(picture, Weights.KEPT, tiled=tiled)


@pytest.mark.parametrize("size", [0, 10**9, 10**11])
def test_a_rough_footprint_knows_the_weights(size: int) -> None:
    kept = peak_bytes(rough_footprint(size), ONE, Weights.KEPT, tiled=True)
    assert size <= kept <= 1.2 * size + 10**9

"""Components of random layers, and what it means for two to be the same."""

import math

import torch
from hypothesis import strategies as st

from nvfp4_ddim_contracts import ScaleSearch
from nvfp4_ddim_optimizer.artifacts.exchange import Component
from nvfp4_ddim_optimizer.nvfp4 import QuantizedTensor, packed_shapes, quantize


def random_layer(shape: tuple[int, ...], seed: int) -> QuantizedTensor:
    """Every code, every scale there is, and any global scale: not only what a quantiser makes."""
    generator = torch.Generator().manual_seed(seed)
    codes, scales = packed_shapes(shape)
    mantissa = float(torch.rand((), generator=generator)) + 1
    return QuantizedTensor(
        torch.randint(0, 256, codes, dtype=torch.uint8, generator=generator),
        torch.randint(0, 127, scales, dtype=torch.uint8, generator=generator).view(
            torch.float8_e4m3fn
        ),
        torch.tensor(math.ldexp(mantissa, seed % 60 - 40), dtype=torch.float32),
        shape,
    )


def quantised(shape: tuple[int, ...], seed: int = 0) -> QuantizedTensor:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.03
    return quantize(weight, ScaleSearch.FOUR_OVER_SIX)


@st.composite
def components(draw: st.DrawFn) -> Component:
    """Linears and convolutions of any size, with and without a bias, beside other tensors."""
    linear = st.tuples(st.integers(1, 140), st.integers(1, 150))
    conv = st.tuples(
        st.integers(1, 20), st.integers(1, 40), st.sampled_from([1, 3]), st.sampled_from([1, 2, 3])
    )
    shapes = draw(st.lists(linear | conv, min_size=1, max_size=3))
    layers, plain = {}, {"norm.weight": torch.randn(7).bfloat16()}
    for number, shape in enumerate(shapes):
        layers[f"block.{number}.to"] = random_layer(shape, draw(st.integers(0, 2**20)))
        if draw(st.booleans()):
            plain[f"block.{number}.to.bias"] = torch.randn(shape[0]).bfloat16()
    plain["embeddings.position_ids"] = torch.arange(5).view(1, 5)
    plain["conv.weight"] = torch.randn(2, 3, 3, 3).bfloat16()
    return Component(layers, plain)


def shapes_of(component: Component) -> dict[str, tuple[int, ...]]:
    return {name: layer.shape for name, layer in component.layers.items()}


def assert_same(first: Component, second: Component) -> None:
    """Bit for bit."""
    assert first.layers.keys() == second.layers.keys()
    for name, layer in first.layers.items():
        other = second.layers[name]
        assert layer.shape == other.shape
        assert torch.equal(layer.codes, other.codes)
        assert torch.equal(layer.scales.view(torch.uint8), other.scales.view(torch.uint8))
        assert torch.equal(
            layer.global_scale.view(torch.int32), other.global_scale.view(torch.int32)
        )
    assert first.plain.keys() == second.plain.keys()
    for name, tensor in first.plain.items():
        assert tensor.dtype == second.plain[name].dtype
        assert torch.equal(tensor, second.plain[name])

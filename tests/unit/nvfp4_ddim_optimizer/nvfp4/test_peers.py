"""The bytes are those of torchao's and compressed-tensors' NVFP4."""

import pytest
import torch

from nvfp4_ddim_contracts import ScaleSearch
from nvfp4_ddim_optimizer.nvfp4 import dequantize, quantize


def weight() -> torch.Tensor:
    """64 x 256, rows of very different size, some zeros, some exact ties."""
    generator = torch.Generator().manual_seed(4)
    values = torch.randn(64, 256, generator=generator)
    values *= torch.logspace(-1, 1, 64).unsqueeze(1)
    values[3, 7:11] = 0
    values[5, :16] = torch.tensor([6, 5, 3.5, 2.5, 1.75, 1.25, 0.75, 0.25] * 2)
    return values


def test_torchao() -> None:
    torchao = pytest.importorskip("torchao.prototype.mx_formats.nvfp4_tensor")
    original = weight()
    global_scale = torchao.per_tensor_amax_to_scale(original.abs().amax())
    scales, codes = torchao.nvfp4_quantize(original, per_tensor_scale=global_scale)

    ours = quantize(original, ScaleSearch.ABSMAX)

    assert ours.global_scale == global_scale
    assert torch.equal(ours.scales.view(torch.uint8), scales.view(torch.uint8))
    assert torch.equal(ours.codes, codes)
    theirs = torchao.NVFP4Tensor.to_nvfp4(original, per_tensor_scale=global_scale)
    torch.testing.assert_close(
        dequantize(ours), theirs.dequantize(torch.float32), rtol=1e-6, atol=0.0
    )


@pytest.mark.parametrize("search", list(ScaleSearch))
def test_compressed_tensors(search: ScaleSearch) -> None:
    helpers = pytest.importorskip("compressed_tensors.compressors.nvfp4.helpers")
    original = weight()
    ours = quantize(original, search)

    unpacked = helpers.unpack_fp4_from_uint8(ours.codes, 64, 256, dtype=torch.float32)
    factors = (ours.scales.float() * ours.global_scale).repeat_interleave(16, dim=1)
    assert torch.equal(unpacked * factors, dequantize(ours))
    assert torch.equal(helpers.pack_fp4_to_uint8(unpacked), ours.codes)


def test_compressed_tensors_quantises_to_the_same_codes() -> None:
    helpers = pytest.importorskip("compressed_tensors.compressors.nvfp4.helpers")
    original = weight()
    original[0, 0] = 42.0  # 2688 / 64: the global scale is a power of two, so division is exact
    original.clamp_(-42, 42)
    ours = quantize(original, ScaleSearch.ABSMAX)

    codes = helpers.quantize_and_pack_fp4(
        original, ours.scales.float(), global_scale=1 / ours.global_scale
    )

    assert ours.global_scale == 2.0**-6
    assert torch.equal(codes & 0x77, ours.codes & 0x77)  # magnitudes; their zeros have no sign

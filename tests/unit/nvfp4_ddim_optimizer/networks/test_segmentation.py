import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.networks import ImageEncoder, MaskAutoencoder


@given(st.integers(1, 3), st.integers(1, 3))
def test_the_encoder_ends_at_a_quarter(rows: int, columns: int) -> None:
    network = ImageEncoder(in_channels=3, out_channels=5, widths=(8, 16, 24))
    latent = network(torch.zeros(2, 3, 8 * rows, 8 * columns))
    assert latent.shape == (2, 5, 2 * rows, 2 * columns)


@pytest.mark.parametrize("factor", [2, 4])
def test_masks_go_to_latents_and_back(factor: int) -> None:
    network = MaskAutoencoder(latent_channels=3, factor=factor, width=8)
    mask = (torch.rand(2, 1, 16, 24) > 0.5).float()
    latent = network.encode(mask)
    assert latent.shape == (2, 3, 16 // factor, 24 // factor)
    assert torch.equal(network(mask), network.decode(latent))
    assert network.decode(latent).shape == mask.shape


def test_all_parameters_are_used() -> None:
    encoder, autoencoder = (
        ImageEncoder(in_channels=3, out_channels=8, widths=(8, 16)),
        MaskAutoencoder(width=8),
    )
    encoder(torch.rand(1, 3, 16, 16)).sum().backward()
    autoencoder(torch.rand(1, 1, 16, 16)).sum().backward()
    for network in (encoder, autoencoder):
        assert all(p.grad is not None for p in network.parameters())


def test_configurations_come_back(tmp_path: "object") -> None:
    network = ImageEncoder(in_channels=3, out_channels=5, widths=(8, 16, 24)).eval()
    network.save_pretrained(str(tmp_path))
    again = ImageEncoder.from_pretrained(str(tmp_path)).eval()
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(again(image), network(image))

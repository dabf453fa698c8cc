import gzip
from pathlib import Path

import pytest
import torch

from benchmarks.evaluation.mnist import DigitModel, DigitNetwork, read_images
from benchmarks.evaluation.subjects import Sources, open_subjects
from nvfp4_ddim_optimizer.nn import LayerPolicy, plan_layers

SOURCES = Sources()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.arange(64 * 784).view(64, 1, 28, 28).remainder(256).to(torch.uint8)


@pytest.fixture
def untrained(images: torch.Tensor) -> DigitModel:
    torch.manual_seed(0)
    network = DigitNetwork()
    network.frequencies.copy_(torch.linspace(0, 10, 16))
    return DigitModel(network.eval(), torch.linspace(1e-4, 0.02, 1001), images)


def test_samples_depend_on_their_number_alone(untrained: DigitModel) -> None:
    together = untrained.sample(3, 4, 3, seed=7)
    assert together.shape == (4, 3, 28, 28)
    assert together.dtype == torch.uint8
    alone = untrained.sample(5, 1, 3, seed=7)
    assert int((together[2].int() - alone[0].int()).abs().max()) <= 1


def test_probe_gives_one_output_for_each_timestep(untrained: DigitModel) -> None:
    outputs = untrained.probe()
    assert [tuple(output.shape) for output in outputs] == [(64, 1, 28, 28)] * 5
    assert all(torch.equal(a, b) for a, b in zip(outputs, untrained.probe(), strict=True))


def test_the_default_policy_means_the_same_layers_as_in_a_unet() -> None:
    plan = plan_layers(DigitNetwork(), "unet", LayerPolicy())
    quantised = [planned.name for planned in plan if planned.keep_reason is None]
    assert quantised == [f"blocks.{k}.conv" for k in range(3)]


def test_reads_idx_files_and_refuses_others(tmp_path: Path, images: torch.Tensor) -> None:
    header = b"".join(v.to_bytes(4, "big") for v in (2051, 64, 28, 28))
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(header + images.numpy().tobytes()))
    assert torch.equal(read_images(path), images)
    path.write_bytes(gzip.compress(header + b"short"))
    with pytest.raises(ValueError, match="no IDX file"):
        read_images(path)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    sources = Sources(digits=tmp_path / "absent.pth")
    assert open_subjects(["mnist"], sources, said.append) == []
    assert said == [f"mnist is left out: {tmp_path / 'absent.pth'} is missing"]


@pytest.mark.skipif(
    not (SOURCES.digits.exists() and SOURCES.digit_images.exists()),
    reason="the published checkpoint and MNIST's test pictures are not there",
)
def test_the_published_checkpoint_predicts_noise() -> None:
    state = torch.load(SOURCES.digits, map_location="cpu", weights_only=True)
    network = DigitNetwork.from_checkpoint(state)
    x0 = read_images(SOURCES.digit_images)[:16].float() / 255 - 0.5
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    abar = state["alpha_t"][500]
    with torch.inference_mode():
        found = network(abar.sqrt() * x0 + (1 - abar).sqrt() * eps, 0.5)
    assert float((found - eps).square().mean()) < 0.05

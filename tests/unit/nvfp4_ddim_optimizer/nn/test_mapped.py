import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from nvfp4_ddim_optimizer.nn import release_pages

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is mapped")

MIB = 2**20


def resident_bytes(path: Path) -> int:
    """What this process has of a file in memory."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = line.split()[0]
        if "-" in head and not head.endswith(":"):
            inside = line.endswith(str(path))
        elif inside and head == "Rss:":
            total += 1024 * int(line.split()[1])
    return total


@pytest.fixture
def path(tmp_path: Path) -> Path:
    weights = tmp_path / "model.safetensors"
    torch.manual_seed(0)
    save_file({"weight": torch.randn(1024, 1024), "bias": torch.randn(1024)}, weights)
    return weights


def mapped_layer(path: Path) -> nn.Linear:
    with torch.device("meta"):
        layer = nn.Linear(1024, 1024)
    with safe_open(path, framework="pt") as file:
        layer.load_state_dict({name: file.get_tensor(name) for name in file.keys()}, assign=True)  # noqa: SIM118
    return layer.requires_grad_(requires_grad=False)


def test_pages_are_given_back_and_weights_stay_usable(path: Path) -> None:
    layer = mapped_layer(path)
    x = torch.ones(1, 1024)
    before = layer(x)
    assert resident_bytes(path) >= 4 * MIB
    assert release_pages(layer) >= 4 * MIB
    assert resident_bytes(path) < 64 * 1024  # pages shared with a neighbour stay
    assert torch.equal(layer(x), before)
    assert resident_bytes(path) >= 4 * MIB


def test_weights_in_memory_are_left_alone(path: Path) -> None:
    layer = mapped_layer(path)
    assert release_pages(layer) >= 4 * MIB
    layer.weight.data = layer.weight.double().float()
    layer.bias.data = layer.bias.clone()
    before = layer.state_dict() | {}
    copies = {name: tensor.clone() for name, tensor in before.items()}
    assert release_pages(layer) == 0
    assert all(torch.equal(tensor, copies[name]) for name, tensor in before.items())


def test_meta_and_empty_weights_are_no_trouble() -> None:
    with torch.device("meta"):
        assert release_pages(nn.Linear(4, 4)) == 0
    assert release_pages(nn.Identity()) == 0
    layer = nn.Linear(4, 4)
    layer.register_buffer("nothing", torch.empty(0))
    assert release_pages(layer) == 0

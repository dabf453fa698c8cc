from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn


class TinySubject:
    """A model of two layers whose samples show its weights."""

    name = "tiny"
    settings = "none"
    batch = 2
    survey_count = 4
    full_count = 6

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.sampled: list[int] = []
        self.last = nn.Linear(32, 64)
        self.unet = nn.Sequential(nn.Conv2d(16, 32, 3), nn.Flatten(), self.last)
        self.components: Mapping[str, nn.Module] = {"unet": self.unet}

    def sample(self, first: int, count: int, steps: int, seed: int) -> Tensor:
        self.sampled.append(first)
        self.probe()  # so that layers are called, as calibration expects
        numbers = torch.arange(first, first + count).view(-1, 1, 1, 1)
        level = self.unet[0].weight.abs().sum().int()  # type: ignore[union-attr]
        return ((numbers + level + steps + seed) % 256).to(torch.uint8).expand(-1, 3, 16, 16)

    def reference(self) -> Tensor:
        return torch.zeros(3, 3, 16, 16, dtype=torch.uint8)

    def probe(self) -> list[Tensor]:
        x = torch.randn(4, 16, 3, 3, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            return [self.unet(x)]


@pytest.fixture
def tiny() -> TinySubject:
    return TinySubject()

"""A small published diffusion model of handwritten digits as a subject.

The checkpoint `ddpm_mnist_starter` (Yichi Zhang, MIT) is a plain convolutional network of 28x28
pixels: four 7x7 convolutions with layer norms over whole pictures, the time added after the first.
"""

import gzip
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from nvfp4_ddim_optimizer.diffusion import (
    NoiseSchedule,
    TimestepPlan,
    TimestepSpacing,
    initial_noise,
    sample_ddim,
    uniform_timesteps,
)

from .noising import PROBE_STEPS, noised

__all__ = ["DigitModel", "DigitNetwork", "read_images"]

SIDE = 28
TRAINING_STEPS = 1000
_HIDDEN = (16, 32, 32, 16)
_FREQUENCIES, _TIME_WIDTH = 16, 128
_IMAGE_FILE_MAGIC, _HEADER_BYTES = 2051, 16
_HALF_RANGE = 0.5  # it was trained on pixels in [-0.5, 0.5]
_PROBED = 64


class _Block(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 7, padding=3)
        self.norm = nn.LayerNorm((out_channels, SIDE, SIDE))

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, 28, 28] to [B, out, 28, 28]."""
        return nn.functional.gelu(self.norm(self.conv(x)))


class DigitNetwork(nn.Module):
    """Predicts the noise. Its modules have the names of a diffusers UNet's counterparts, so that
    the default layer policy means the same layers.
    """

    frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        first = _HIDDEN[0]
        self.conv_in = _Block(1, first)
        widths = pairwise(_HIDDEN)
        self.blocks = nn.ModuleList(_Block(before, after) for before, after in widths)
        self.conv_out = nn.Conv2d(_HIDDEN[-1], 1, 3, padding=1)
        sizes = (2 * _FREQUENCIES, _TIME_WIDTH, _TIME_WIDTH, _TIME_WIDTH, first)
        self.time_embedding = nn.ModuleList(
            nn.Linear(before, after) for before, after in pairwise(sizes)
        )
        self.register_buffer("frequencies", torch.empty(_FREQUENCIES))

    @classmethod
    def from_checkpoint(cls, state: dict[str, Tensor]) -> "DigitNetwork":
        """Build from the published state_dict, whose names differ."""
        last = len(_HIDDEN)
        renamed = {"frequencies": state["gt.frequencies"]}
        for index in range(last):
            ours = "conv_in" if index == 0 else f"blocks.{index - 1}"
            for kind in ("weight", "bias"):
                renamed[f"{ours}.conv.{kind}"] = state[f"gt.blocks.{index}.net.0.{kind}"]
                renamed[f"{ours}.norm.{kind}"] = state[f"gt.blocks.{index}.net.1.{kind}"]
        for kind in ("weight", "bias"):
            renamed[f"conv_out.{kind}"] = state[f"gt.blocks.{last}.{kind}"]
            for index in range(4):
                # Activations stand between the linear layers there.
                theirs = f"gt.time_embed.{2 * index}.{kind}"
                renamed[f"time_embedding.{index}.{kind}"] = state[theirs]
        network = cls()
        network.load_state_dict(renamed)
        return network.eval()

    def forward(self, x: Tensor, time: float) -> Tensor:
        """Predict eps.

        Args:
            x: x_t, [B, 1, 28, 28] float32.
            time: t / 1000.
        """
        h = self.conv_in(x) + self._embed(time).view(1, -1, 1, 1)
        for block in self.blocks:
            h = block(h)
        noise: Tensor = self.conv_out(h)
        return noise

    def _embed(self, time: float) -> Tensor:
        phases = time * self.frequencies
        h = torch.cat([phases.sin(), phases.cos() - 1])
        for index, layer in enumerate(self.time_embedding):
            h = layer(h if index == 0 else nn.functional.gelu(h))
        return h


class DigitModel:
    """The digit model; MNIST's test pictures are the reference."""

    name = "mnist"
    settings = "trailing timesteps, x_0 clipped to [-0.5, 0.5]"
    batch = 128
    survey_count = 1_024
    full_count = 2_048

    def __init__(self, network: DigitNetwork, betas: Tensor, images: Tensor) -> None:
        self._network = network
        self._schedule = NoiseSchedule.from_betas(betas[:TRAINING_STEPS])
        self._images = images
        self.components: dict[str, nn.Module] = {"unet": network}

    @classmethod
    def open(cls, checkpoint: Path, images: Path) -> "DigitModel":
        """Load the model.

        Args:
            checkpoint: `ddpm_mnist_starter.pth`.
            images: MNIST's test pictures, an IDX file.

        Raises:
            FileNotFoundError: The checkpoint or the test pictures are not there.
        """
        for path in (checkpoint, images):
            if not path.exists():
                raise FileNotFoundError(f"{path} is missing")
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        network = DigitNetwork.from_checkpoint(state)
        return cls(network, state["beta_t"], read_images(images))

    @torch.inference_mode()
    def sample(self, first: int, count: int, steps: int, seed: int) -> Tensor:
        """See `Subject.sample`."""
        seeds = range(seed + first, seed + first + count)
        generators = [torch.Generator().manual_seed(value) for value in seeds]
        x0 = sample_ddim(
            lambda x, t: self._network(x, t / TRAINING_STEPS),
            initial_noise((1, SIDE, SIDE), generators, torch.device("cpu")),
            self._schedule,
            _timesteps(steps),
            constrain_x0=lambda x: x.clamp(-_HALF_RANGE, _HALF_RANGE),
        )
        levels = ((x0.clamp(-_HALF_RANGE, _HALF_RANGE) + _HALF_RANGE) * 255).round()
        return levels.to(torch.uint8).repeat(1, 3, 1, 1)

    def reference(self) -> Tensor:
        """See `Subject.reference`."""
        return self._images.repeat(1, 3, 1, 1)

    @torch.inference_mode()
    def probe(self) -> list[Tensor]:
        """See `Subject.probe`."""
        clean = self._images[:_PROBED].float() / 255 - _HALF_RANGE
        return [
            self._network(noised(clean, self._schedule.alpha_cumprod(t), t), t / TRAINING_STEPS)
            for t in _timesteps(PROBE_STEPS).timesteps
        ]


def read_images(path: Path) -> Tensor:
    """Pictures of an IDX file of MNIST, uint8 [N, 1, 28, 28].

    Raises:
        ValueError: It is no such file.
    """
    content = gzip.decompress(path.read_bytes())
    magic, count, height, width = np.frombuffer(content[:_HEADER_BYTES], ">i4").tolist()
    pixels = np.frombuffer(content[_HEADER_BYTES:], np.uint8)
    if magic != _IMAGE_FILE_MAGIC or pixels.size != math.prod((count, height, width)):
        raise ValueError(f"{path} is no IDX file of pictures")
    return torch.from_numpy(pixels.reshape(count, 1, height, width).copy())


def _timesteps(steps: int) -> TimestepPlan:
    return uniform_timesteps(steps, TRAINING_STEPS, TimestepSpacing.TRAILING)

"""What a contestant is: something that makes the one UNet call that all of them make."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["PROMPT", "PROMPT_TOKENS", "Contestant", "Job", "UNetInputs", "unet_inputs"]

PROMPT = "a photo of a cat"
PROMPT_TOKENS = (49406, 320, 1125, 539, 320, 2368, 49407)
"""The prompt in CLIP's own vocabulary, for a peer whose tokenizer is built in."""

_TIMESTEP = 500


@dataclass(frozen=True)
class Job:
    """What a contestant is asked to run.

    Attributes:
        variant: Which of a peer's settings, such as "int8".
        model: Full-precision diffusers directory.
        work: Where converted models are kept between runs; the contestant's own directory.
        size: Side of the picture in pixels.
        threads: Of the processor.
    """

    variant: str
    model: Path
    work: Path
    size: int
    threads: int


class Contestant(Protocol):
    """A UNet that is loaded. One lives in a process of its own."""

    def step(self) -> float:
        """Make the UNet call of one guided sampling step. Returns its seconds."""
        ...

    def output(self) -> Tensor:
        """What the last call predicted, float32."""
        ...

    def details(self) -> dict[str, str]:
        """What the record should say: execution path, settings; `reference` names a file with
        the full-precision output where it isn't that of the common call.
        """
        ...

    def parts(self) -> dict[str, float]:
        """Seconds of what a picture needs beside its steps: "text" and "decode"."""
        ...

    def image(self, steps: int, preset: str) -> float:
        """Make a whole picture; a preset, where one is named, decides over the steps.

        Returns:
            Seconds from the prompt to the picture.
        """
        ...


@dataclass(frozen=True)
class UNetInputs:
    """One call with guidance: the batch is the unconditional and the conditional half.

    Attributes:
        latents: [2, C, h, w] float32, the same noise twice.
        timestep: 0 to 999.
        text: [2, L, D] float32.
    """

    latents: Tensor
    timestep: int
    text: Tensor


def unet_inputs(model: Path, size: int) -> UNetInputs:
    """The common call for a model: the same numbers in every process.

    Args:
        model: A diffusers directory.
        size: Side of the picture in pixels.
    """

    def config(component: str) -> dict[str, int]:
        document: dict[str, int] = json.loads((model / component / "config.json").read_text())
        return document

    unet, text_encoder = config("unet"), config("text_encoder")
    blocks: list[int] = config("vae")["block_out_channels"]  # type: ignore[assignment]
    side = size // 2 ** (len(blocks) - 1)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, unet["in_channels"], side, side, generator=generator)
    text = torch.randn(
        2,
        text_encoder["max_position_embeddings"],
        unet["cross_attention_dim"],
        generator=generator,
    )
    return UNetInputs(latents.expand(2, -1, -1, -1).contiguous(), _TIMESTEP, text)

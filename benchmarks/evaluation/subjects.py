"""What a model to be measured offers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from .emoji import EmojiModel
from .mnist import DigitModel

__all__ = ["SUBJECTS", "Seeds", "Sources", "Subject", "open_subjects"]


class Seeds(IntEnum):
    """Two sets of start noise; sample k of a set starts from seed + k."""

    PAIRED = 1_000
    OTHER = 1_000_000


class Subject(Protocol):
    """A diffusion model, its data, and how it is sampled.

    Attributes:
        name: In file names and claims.
        components: What is quantised: component name to module. Weights are changed in place.
        settings: All that samples depend on beside weights, steps and seeds; part of the cache key.
        batch: Samples made together.
        survey_count: Samples of a first look, a multiple of `batch`.
        full_count: Samples that claims need, a multiple of `batch`.
    """

    name: str
    components: Mapping[str, nn.Module]
    settings: str
    batch: int
    survey_count: int
    full_count: int

    def sample(self, first: int, count: int, steps: int, seed: int) -> Tensor:
        """Samples number `first` and on, uint8 [count, 3, H, W]; each depends on its number alone.

        Args:
            first: Number of the first.
            count: How many.
            steps: DDIM steps.
            seed: Of sample 0.
        """

    def reference(self) -> Tensor:
        """Pictures that the model was trained to make more of, uint8 [N, 3, H, W]."""

    def probe(self) -> list[Tensor]:
        """The UNet's outputs on fixed noised pictures: one tensor for each of some timesteps."""


@dataclass(frozen=True)
class Sources:
    """Where models and data are.

    Attributes:
        emoji: The bundled model in full precision, a diffusers directory.
        drawings: What `training.emoji_data` writes.
        digits: The checkpoint `ddpm_mnist_starter.pth`.
        digit_images: MNIST's `t10k-images-idx3-ubyte.gz`.
    """

    emoji: Path = Path("models/emoji-64")
    drawings: Path = Path("training/data/emoji_64.npz")
    digits: Path = Path("mnist/ddpm_mnist_starter.pth")
    digit_images: Path = Path("mnist/mnist_t10k-images-idx3-ubyte.gz")


SUBJECTS: dict[str, Callable[[Sources], Subject]] = {
    EmojiModel.name: lambda sources: EmojiModel.open(sources.emoji, sources.drawings),
    DigitModel.name: lambda sources: DigitModel.open(sources.digits, sources.digit_images),
}
"""How each model is opened; raises FileNotFoundError saying what is missing."""


def open_subjects(
    names: Sequence[str], sources: Sources, say: Callable[[str], None]
) -> list[Subject]:
    """Open models, and say which are left out because their files are not there.

    Args:
        names: Keys of `SUBJECTS`.
        sources: Where they are.
        say: Told of what is left out.
    """
    found = []
    for name in names:
        try:
            found.append(SUBJECTS[name](sources))
        except FileNotFoundError as error:
            say(f"{name} is left out: {error}")
    return found

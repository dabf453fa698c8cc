"""What every tool's format has to be able to do, and what formats in safetensors share."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nvfp4_ddim_optimizer.errors import ArtifactCorruptError, ArtifactFormatError

from .component import (
    DESCRIPTION_KEY,
    Component,
    Shapes,
    check_layout,
    describe,
    parse_description,
)

__all__ = ["ExchangeLayout", "SafetensorsLayout", "read_safetensors", "tensor_names"]


class ExchangeLayout(ABC):
    """How a tool lays out one model's NVFP4 weights in one file.

    Attributes:
        tool: The tool's name, for people.
        suffix: Of the file.
        row_multiple: The tool loads a linear layer if its inputs are a multiple of this.
        ldm_names: Whether a UNet's tensors have the names of the original Stable Diffusion code.
    """

    tool: ClassVar[str]
    suffix: ClassVar[str] = ".safetensors"
    row_multiple: ClassVar[int] = 16
    ldm_names: ClassVar[bool] = False

    @abstractmethod
    def write(self, component: Component, path: Path) -> None:
        """Write a model's tensors.

        Args:
            component: The model.
            path: The file.
        """

    @abstractmethod
    def read(self, path: Path, shapes: Shapes) -> Component:
        """Read them back.

        Args:
            path: The file.
            shapes: The model's layers.

        Raises:
            ArtifactCorruptError: The file can't be read.
            ArtifactFormatError: It is not of this layout or does not fit the model.
        """

    def config(self, component: Component, kept: Sequence[str]) -> dict[str, Any]:
        """What the tool wants in the model's config.json; nothing, mostly.

        Args:
            component: The model.
            kept: Paths of linear layers that are not quantised.
        """
        del component, kept
        return {}


class SafetensorsLayout(ExchangeLayout):
    """A layout that lies in a safetensors file."""

    marker: ClassVar[str]
    """End of a tensor's name that only this layout has."""

    @abstractmethod
    def pack(self, component: Component) -> dict[str, Tensor]:
        """The tensors to write, by name."""

    @abstractmethod
    def unpack(
        self, path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str], shapes: Shapes
    ) -> Component:
        """Undo `pack`. What it takes from `tensors` it removes; what is left is plain."""

    def metadata(self, component: Component) -> dict[str, str]:
        """The file's metadata. "format" is what transformers asks for."""
        return {"format": "pt", DESCRIPTION_KEY: describe(component)}

    def recognises(self, names: Collection[str]) -> bool:
        """Whether a file with tensors of these names is of this layout."""
        return any(name.endswith(self.marker) for name in names)

    def write(self, component: Component, path: Path) -> None:
        """Write a model's tensors."""
        tensors = {name: t.cpu().contiguous() for name, t in self.pack(component).items()}
        path.touch()
        mode = path.stat().st_mode
        save_file(tensors, path, metadata=self.metadata(component))
        path.chmod(mode)  # safetensors leaves files that only their owner may read

    def read(self, path: Path, shapes: Shapes) -> Component:
        """Read them back; tensors stay mapped from the file until they are touched."""
        tensors, metadata = read_safetensors(path)
        component = self.unpack(path, tensors, metadata, shapes)
        check_layout(path, component, parse_description(path, metadata.get(DESCRIPTION_KEY)))
        return component

    def take(self, path: Path, tensors: dict[str, Tensor], name: str) -> Tensor:
        """Remove one tensor.

        Raises:
            ArtifactFormatError: It is not there.
        """
        if name not in tensors:
            raise ArtifactFormatError(f"{path} lacks {name}, which {self.tool}'s layout has")
        return tensors.pop(name)

    def layers_of(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Paths of the quantised layers: what stands before the marker."""
        return [name.removesuffix(self.marker) for name in tensors if name.endswith(self.marker)]


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A file's tensors, mapped, and its metadata.

    Raises:
        ArtifactCorruptError: It is no safetensors file, or truncated.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ArtifactCorruptError(f"{path} can't be read: {error}") from error


def tensor_names(path: Path) -> list[str]:
    """Names of a file's tensors.

    Raises:
        ArtifactCorruptError: It is no safetensors file, or truncated.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise ArtifactCorruptError(f"{path} can't be read: {error}") from error

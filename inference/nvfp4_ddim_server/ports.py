"""What the server needs from others: pipelines, files, and a place to report progress to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from PIL.Image import Image

from nvfp4_ddim_contracts._base import Contract
from nvfp4_ddim_contracts.lanes import InferenceTask
from nvfp4_ddim_contracts.models import LiveModel
from nvfp4_ddim_optimizer.shortcuts import Shortcuts

__all__ = [
    "ArtifactLoader",
    "BundledModels",
    "InputStore",
    "ModelRegistry",
    "OutputFile",
    "Pipeline",
    "PipelineLoader",
    "ProgressSink",
    "Step",
    "StoredArtifact",
    "StoredInput",
    "TaskBoard",
    "TaskOutput",
]


@dataclass(frozen=True)
class StoredArtifact:
    """A complete artifact on the disk.

    Attributes:
        sha256: SHA-256 of its manifest.
        directory: Where it lies.
        upper_bytes: At most so much memory is taken by its weights: stored, and in float32.
    """

    sha256: str
    directory: Path
    upper_bytes: int


@dataclass(frozen=True)
class StoredInput:
    """A file that a caller brought before.

    Attributes:
        data: Its bytes.
        content_type: What it was said to be.
    """

    data: bytes
    content_type: str


class OutputFile(Protocol):
    """One file of a task's output."""

    @property
    def name(self) -> str:
        """Such as mask.png."""

    @property
    def media_type(self) -> str:
        """Such as image/png."""

    @property
    def data(self) -> bytes:
        """Its bytes."""


class TaskOutput(Protocol):
    """What a task answers."""

    @property
    def report(self) -> Contract:
        """The JSON part."""

    @property
    def files(self) -> Sequence[OutputFile]:
        """The files."""


class Step(Protocol):
    """One finished sampler step."""

    @property
    def step(self) -> int:
        """Finished steps."""

    @property
    def total(self) -> int:
        """All steps."""


class Pipeline(Protocol):
    """The part of `nvfp4_ddim_optimizer.OptimizationPipeline` that the server uses."""

    @property
    def model_name(self) -> str:
        """Name of the model."""

    @property
    def artifact_sha256(self) -> str:
        """SHA-256 of the artifact's manifest."""

    @property
    def execution_path(self) -> str:
        """Which arithmetic runs."""

    @property
    def has_native_fp4(self) -> bool:
        """Whether large products run on FP4 units."""

    @property
    def weight_bytes(self) -> int:
        """Memory that the weights take while nothing is painted."""

    @property
    def native_width(self) -> int:
        """Width the model was trained at, in pixels."""

    @property
    def native_height(self) -> int:
        """Height the model was trained at, in pixels."""

    @property
    def default_guidance_scale(self) -> float:
        """Guidance scale when a request gives none."""

    @property
    def tasks(self) -> Sequence[str]:
        """What the model can be asked to do."""

    def task(self, name: str) -> object:
        """One of them; raises what makes it impossible."""

    def run(
        self,
        task: str,
        inputs: Mapping[str, bytes],
        parameters: Contract,
        *,
        num_inference_steps: int,
        seed: int,
        on_step: Callable[[Step], None],
        should_cancel: Callable[[], bool],
    ) -> TaskOutput:
        """Do a task other than painting."""

    def with_preset(self, preset: str) -> Self:
        """The same weights under another preset."""

    def resolve_shortcuts(
        self,
        num_inference_steps: int,
        *,
        cache_interval: int | None,
        guidance_interval: tuple[float, float] | None,
        token_merging_ratio: float | None,
    ) -> Shortcuts:
        """The operations that a run leaves out: a request's choice, or the preset's where None."""

    def generate(
        self,
        prompt: Sequence[str],
        *,
        negative_prompt: str,
        num_inference_steps: int,
        guidance_scale: float,
        eta: float,
        cache_interval: int,
        guidance_interval: tuple[float, float],
        token_merging_ratio: float,
        height: int,
        width: int,
        seed: Sequence[int],
        on_step: Callable[[Step], None],
        should_cancel: Callable[[], bool],
    ) -> Sequence[Image]:
        """Paint one picture per prompt, each from its own seed."""


PipelineLoader = Callable[[], Pipeline]
"""Verifies and loads the model; raises what makes that impossible."""

ArtifactLoader = Callable[[Path], Pipeline]
"""Verifies and loads the artifact in a directory; raises what makes that impossible."""


BundledModels = Callable[[str], StoredArtifact | None]
"""The artifact of a model that comes with the library, by its name; None where there is none."""


class InputStore(Protocol):
    """Where callers' files lie."""

    def read(self, key: str, limit_bytes: int) -> StoredInput | None:
        """A file, or None where there is none.

        Raises:
            InputTooLargeError: It has more than `limit_bytes`.
            InputsUnavailableError: It can't be read now.
        """


class ModelRegistry(Protocol):
    """The models that may be asked for by name."""

    def live(self, name: str) -> LiveModel | None:
        """The artifact being served under a name, or None.

        Raises:
            RegistryError: It can't be told now.
        """

    def read(self, key: str, limit_bytes: int) -> bytes:
        """A small file.

        Raises:
            UnusableModelError: It is missing, or larger than `limit_bytes`.
            RegistryError: It can't be read now.
        """

    def stream(self, key: str, offset: int) -> Iterator[bytes]:
        """A file's bytes from `offset` on, in pieces.

        Raises:
            UnusableModelError: It is missing.
            RegistryError: It can't be read now.
        """


class ProgressSink(Protocol):
    """Where the progress of jobs is shown."""

    def report(self, job_id: str, step: int, total_steps: int) -> bool:
        """Record that `step` of `total_steps` are done. May block; called off the sampler's thread.

        Returns:
            Whether the job still wants its result. Trouble with the sink itself is not the job's:
            it is logged, and the answer is True.
        """


class TaskBoard(Protocol):
    """Where a function finds requests and leaves answers."""

    def is_stopped(self) -> bool:
        """Whether no job may begin for the time being."""

    def hold(self, task: InferenceTask) -> None:
        """Say that a job waits until the service goes on."""

    def read(self, task: InferenceTask) -> bytes:
        """The request."""

    def answer(self, task: InferenceTask, status: int, body: bytes) -> None:
        """Leave the answer, then say that it is there."""

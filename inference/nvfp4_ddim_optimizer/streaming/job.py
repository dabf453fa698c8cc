"""From a diffusers model on the disk to an artifact on the disk."""

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from nvfp4_ddim_contracts import (
    Calibrated,
    DataFree,
    Manifest,
    Quantization,
    RateDistortion,
    WeightStorage,
)
from nvfp4_ddim_optimizer.artifacts import WeightsWriter, check_destination, save_artifact
from nvfp4_ddim_optimizer.calibration import CalibratedQuantizer
from nvfp4_ddim_optimizer.errors import BudgetExceededError, InvalidInputError
from nvfp4_ddim_optimizer.nvfp4 import Quantizer, quantizer_for
from nvfp4_ddim_optimizer.sources import ModelSource, parameter_bytes
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.components import native_size

from .budget import StorageModel
from .calibrate import correct_biases, gather_statistics
from .model import StreamedModel, open_model
from .workspace import Workspace

__all__ = ["ArtifactDetails", "Budget", "Progress", "quantize_to_artifact"]

_FP32_BYTES = 4
_ATTEMPTS = 4
# The estimate is a few tenths of a percent off: aim lower, so that one attempt is usually enough.
_MARGIN = 0.001
_CONFIGURATION_SUFFIXES = frozenset({".json", ".txt", ".model"})


@dataclass(frozen=True)
class ArtifactDetails:
    """What an artifact's manifest says that its weights don't tell.

    Attributes:
        name: The artifact's.
        original_model: Where the weights are from: directory or hub id.
        license: SPDX expression of the weights' licence.
        attribution: Whom the licence wants named.
        default_guidance_scale: Guidance where a request gives none.
        created_at: Time stamp; None takes the clock's.
    """

    name: str
    original_model: str
    license: str
    attribution: str = ""
    default_guidance_scale: float = 7.5
    created_at: datetime | None = None


@dataclass(frozen=True)
class Budget:
    """What an artifact may take: exactly one of the two.

    Attributes:
        bytes: All files but the manifest.
        bits_per_parameter: The same for each of the model's parameters, quantised or not.
    """

    bytes: int | None = None
    bits_per_parameter: float | None = None

    def __post_init__(self) -> None:
        """Refuse none, both, or nothing at all.

        Raises:
            InvalidInputError: So it is.
        """
        given = [size for size in (self.bytes, self.bits_per_parameter) if size is not None]
        if len(given) != 1 or not given[0] > 0:
            raise InvalidInputError("a budget is one positive number: of bytes, or of bits")

    def max_bytes(self, parameters: int) -> int:
        """The budget in bytes for a model of so many parameters."""
        if self.bytes is not None:
            return self.bytes
        return int((self.bits_per_parameter or 0) * parameters / 8)


class Progress(Protocol):
    """Is told how far the work is."""

    def begin(self, what: str, total: int | None) -> None:
        """Work of a new kind begins: so many weights, or steps; None if nobody can tell."""

    def advance(self, done: int) -> None:
        """So many of them more are done."""


def quantize_to_artifact(
    source: ModelSource,
    destination: Path,
    quantization: Quantization,
    details: ArtifactDetails,
    *,
    budget: Budget | None = None,
    storage: WeightStorage = WeightStorage.DENSE,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Quantise a model layer by layer and write the artifact, which appears complete or not at all.

    When it is interrupted, finished layers stay beside the destination, and the same call goes on
    from there.

    Args:
        source: A diffusers directory or hub id.
        destination: The directory to make.
        quantization: How weights are quantised.
        details: What else goes into the manifest.
        budget: What the artifact may take. The rate weight is then found, and not taken from
            `quantization`, which must have one.
        storage: Whether weights are losslessly compressed; they must be where there is a budget.
        overwrite: Replace an artifact that is there already.
        progress: Is told how far the work is.

    Returns:
        The manifest, as written.

    Raises:
        InvalidInputError: The destination exists, a weight is not finite, or the budget can't be
            met.
        ModelNotSupportedError: The model is of a kind that can't be run.
    """
    check_destination(destination, overwrite=overwrite)
    job = _Job(destination, details, storage, overwrite, progress or _Silent())
    model = job.open(source)
    if budget is not None and (
        isinstance(quantization, DataFree) or storage is not WeightStorage.DENSE
    ):
        raise InvalidInputError("a budget needs rate-distortion optimised weights, stored densely")
    if budget is None:
        return job.run(model, job.quantizer(source, quantization))
    max_bytes = budget.max_bytes(parameter_bytes(model.pipeline) // _FP32_BYTES)
    estimate = job.estimate(model)
    aim = max_bytes * (1 - _MARGIN)
    rate_weight = estimate.rate_weight_for(aim)  # before statistics are gathered for nothing
    quantizer = job.quantizer(source, quantization)
    for attempt in range(_ATTEMPTS):
        try:
            return job.run(model, _with_rate_weight(quantizer, rate_weight), max_bytes)
        except BudgetExceededError as error:
            # Twice as much each time: small layers shrink less than their entropy.
            aim -= (error.artifact_bytes - max_bytes) * 2**attempt
        rate_weight = estimate.rate_weight_for(aim)
        model = job.open(source)
    raise InvalidInputError(f"no rate weight was found that meets a budget of {max_bytes} bytes")


def _with_rate_weight(quantizer: Quantizer, rate_weight: float) -> Quantizer:
    """The same quantiser with another rate weight; statistics are not gathered again."""
    if isinstance(quantizer, CalibratedQuantizer):
        record = quantizer.record.model_copy(update={"rate_weight": rate_weight})
        return CalibratedQuantizer(record, quantizer.statistics)
    return quantizer_for(RateDistortion(rate_weight=rate_weight))


@dataclass(frozen=True)
class _Job:
    """What stays the same from attempt to attempt."""

    destination: Path
    details: ArtifactDetails
    storage: WeightStorage
    overwrite: bool
    progress: Progress

    def open(self, source: ModelSource) -> StreamedModel:
        """Plan the work, and refuse what can't be run before it begins."""
        self.progress.begin("Reading the model", None)
        model = open_model(source)
        native_size(model.pipeline)
        return model

    def estimate(self, model: StreamedModel) -> StorageModel:
        """How the artifact's size depends on the rate weight."""
        self.progress.begin("Sampling the layers", None)
        self.destination.absolute().parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.destination.absolute().parent) as folder:
            path = Path(folder) / "kept.safetensors"
            with WeightsWriter(path, self.storage) as writer:
                for name, tensor in model.kept():
                    writer.add(name, tensor)
            kept_bytes = path.stat().st_size + _configuration_bytes(model.directory)
        return StorageModel.of(model.weights(), kept_bytes)

    def quantizer(self, source: ModelSource, quantization: Quantization) -> Quantizer:
        """What a record describes; calibrated if that is what it says."""
        if not isinstance(quantization, Calibrated):
            return quantizer_for(quantization)
        model = self.open(source)
        if isinstance(model.pipeline, TaskModel):
            raise InvalidInputError(
                "calibration draws prompts, and this model does not paint: quantise it with "
                "rate-distortion optimisation (--effort balanced)"
            )
        self.progress.begin("Calibrating", len(quantization.prompts) * quantization.steps)
        statistics = gather_statistics(
            model,
            quantization,
            self.details.default_guidance_scale,
            on_step=lambda _: self.progress.advance(1),
        )
        return CalibratedQuantizer(quantization, statistics)

    def run(
        self, model: StreamedModel, quantizer: Quantizer, max_bytes: int | None = None
    ) -> Manifest:
        """Quantise and write, or raise BudgetExceededError."""
        workspace = Workspace(Workspace.beside(self.destination), model.made_from(quantizer))
        self.progress.begin("Quantising", model.weight_count)
        layers = model.quantize(
            quantizer,
            workspace=workspace,
            on_layer=lambda entry: self.progress.advance(math.prod(entry.shape)),
        )
        if isinstance(quantizer, CalibratedQuantizer):
            correct_biases(model, quantizer.statistics)
        self.progress.begin("Writing the artifact", None)
        height, width = native_size(model.pipeline)
        manifest = save_artifact(
            model.pipeline,
            layers,
            self.destination,
            name=self.details.name,
            original_model=self.details.original_model,
            license=self.details.license,
            attribution=self.details.attribution,
            quantization=quantizer.record,
            storage=self.storage,
            default_guidance_scale=self.details.default_guidance_scale,
            native_height=height,
            native_width=width,
            created_at=self.details.created_at,
            max_bytes=max_bytes,
            overwrite=self.overwrite,
        )
        workspace.remove()
        return manifest


class _Silent:
    """Nobody wants to know."""

    def begin(self, what: str, total: int | None) -> None:
        """Do nothing."""

    def advance(self, done: int) -> None:
        """Do nothing."""


def _configuration_bytes(directory: Path) -> int:
    """What lies beside the weights."""
    return sum(
        path.stat().st_size
        for path in directory.rglob("*")
        if path.suffix in _CONFIGURATION_SUFFIXES
    )

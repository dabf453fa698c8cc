"""The machine that quantises dropped models."""

from dataclasses import dataclass

from .errors import CapacityError

__all__ = ["QuantizationCapacity"]

_GB = 10**9
_LONGEST_SECONDS = 777_600
# The model, the artifact, and what the work leaves on its way.
_VOLUME_PER_MODEL = 2


@dataclass(frozen=True, kw_only=True)
class QuantizationCapacity:
    """One SageMaker processing job at a time and model.

    Attributes:
        instance_type: SageMaker instance type. Weights stream through it a layer at a time; the
            comparison at the end has the whole original in float32 in memory.
        volume_gb: Its disk.
        max_runtime_seconds: After this the job is stopped; nothing is published.
        max_model_gb: What a dropped model may take.
        days: How long dropped models stay. What they became lies elsewhere.
    """

    instance_type: str
    volume_gb: int
    max_runtime_seconds: int
    max_model_gb: int
    days: int = 30

    def __post_init__(self) -> None:
        """Check that the work fits.

        Raises:
            CapacityError: It does not.
        """
        if self.volume_gb < _VOLUME_PER_MODEL * self.max_model_gb:
            raise CapacityError(
                f"A model of {self.max_model_gb} GB needs a volume of at least "
                f"{_VOLUME_PER_MODEL * self.max_model_gb} GB."
            )
        if not 0 < self.max_runtime_seconds <= _LONGEST_SECONDS:
            raise CapacityError(f"A processing job runs for at most {_LONGEST_SECONDS} seconds.")

    @property
    def max_model_bytes(self) -> int:
        """What a dropped model may take, in bytes."""
        return self.max_model_gb * _GB

"""Lanes that a stage may have beside its asynchronous endpoint: typed values, all off at first."""

from dataclasses import dataclass
from enum import StrEnum

from nvfp4_ddim_contracts.lanes import Lane, LaneOffer, LaneOffers
from nvfp4_ddim_contracts.machines import (
    FunctionMachine,
    InstanceMachine,
    Machine,
    ServerlessMachine,
)
from nvfp4_ddim_contracts.pricing import LambdaArchitecture

from .errors import LaneOptionError

__all__ = [
    "Architecture",
    "InstancePool",
    "LambdaLane",
    "Lanes",
    "Precision",
    "RealtimeLane",
    "ServerlessLane",
    "WarmWindow",
]

_MAX_LAMBDA_MEMORY_MB = 10_240
_SERVERLESS_MEMORY_MB = range(1_024, 6_144 + 1, 1_024)
# A picture's PNG takes at most 3 bytes a pixel, and 4 in the answer's base64. Answers may have
# 6,291,456 bytes from a real-time endpoint and 4,194,304 from a serverless one.
_REALTIME_PIXELS = 1_500_000
_SERVERLESS_PIXELS = 1_000_000


class Architecture(StrEnum):
    """Processors that Lambda has."""

    X86_64 = "x86_64"
    ARM64 = "arm64"


class Precision(StrEnum):
    """The least arithmetic that a machine must have to be of use."""

    NVFP4 = "nvfp4"
    """FP4 units: Blackwell."""

    ANY = "any"
    """Weights in NVFP4, arithmetic as the machine has it."""


@dataclass(frozen=True, kw_only=True)
class InstancePool:
    """One rung of the asynchronous endpoint's ladder; SageMaker tries them in order.

    Attributes:
        instance_type: SageMaker instance type.
        min_precision: What its containers insist on; one that finds less refuses to start.
    """

    instance_type: str
    min_precision: Precision = Precision.ANY


@dataclass(frozen=True, kw_only=True)
class WarmWindow:
    """A time of the week in which the asynchronous endpoint keeps instances without work.

    Attributes:
        start: When it begins, as cron has it, in UTC: "0 7 ? * MON-FRI *".
        end: When it ends.
        instances: How many it keeps at least.
    """

    start: str
    end: str
    instances: int = 1

    def __post_init__(self) -> None:
        """Check the number.

        Raises:
            LaneOptionError: It keeps nothing.
        """
        if self.instances < 1:
            raise LaneOptionError("A warm window keeps at least one instance.")


@dataclass(frozen=True, kw_only=True)
class LambdaLane:
    """The inference image as a Lambda function.

    Attributes:
        memory_mb: Memory; Lambda gives one processor per 1769 MB of it.
        architecture: Of the image and of the function. An image given by its URI has to fit.
        max_concurrency: Functions that run at once; it is reserved, and so a bound on cost.
        storage_mb: Disk for the models.
        timeout_seconds: For one job, a cold start included.
        max_model_bytes: Largest artifact that it is given.
        max_pixel_steps: Most width x height x steps x pictures that it is given.
        automatic: Whether jobs get it without asking for it.
    """

    memory_mb: int = 4_096
    architecture: Architecture = Architecture.X86_64
    max_concurrency: int = 4
    storage_mb: int = 2_048
    timeout_seconds: int = 900
    max_model_bytes: int = 256 * 2**20
    max_pixel_steps: int = 256 * 256 * 50 * 4
    automatic: bool = True

    def __post_init__(self) -> None:
        """Check what CloudFormation would only say minutes later.

        Raises:
            LaneOptionError: A value is out of Lambda's range.
        """
        if not 512 <= self.memory_mb <= _MAX_LAMBDA_MEMORY_MB:
            raise LaneOptionError(f"A function has 512 to 10240 MB memory, not {self.memory_mb}.")
        if not 512 <= self.storage_mb <= _MAX_LAMBDA_MEMORY_MB:
            raise LaneOptionError(f"A function has 512 to 10240 MB of disk, not {self.storage_mb}.")
        if not 60 <= self.timeout_seconds <= 900:
            raise LaneOptionError(f"A function gets 60 to 900 s here, not {self.timeout_seconds}.")


@dataclass(frozen=True, kw_only=True)
class RealtimeLane:
    """An endpoint that is always on and answers within 60 s.

    Attributes:
        instance_type: SageMaker instance type.
        min_instances: At least one: a real-time endpoint has no queue to wait in.
        max_instances: Upper bound of scaling.
        invocations_per_instance: Invocations per minute and instance that scaling aims at.
        max_pixel_steps: Most width x height x steps x pictures that end within 60 s.
        automatic: Whether jobs get it without asking for it.
    """

    instance_type: str
    min_instances: int = 1
    max_instances: int = 2
    invocations_per_instance: float = 20
    max_pixel_steps: int
    automatic: bool = True

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            LaneOptionError: There could be no instance, or less than the minimum.
        """
        if not 1 <= self.min_instances <= self.max_instances:
            raise LaneOptionError(
                "A real-time endpoint has at least one instance, and no fewer at most than at "
                f"least: not {self.min_instances} to {self.max_instances}."
            )


@dataclass(frozen=True, kw_only=True)
class ServerlessLane:
    """A serverless endpoint: no idle cost, a CPU, 60 s.

    Attributes:
        memory_mb: 1024 to 6144 in steps of 1024; a model and its work have to fit.
        max_concurrency: Invocations at once.
        max_model_bytes: Largest artifact that it is given.
        max_pixel_steps: Most width x height x steps x pictures that end within 60 s.
        automatic: Whether jobs get it without asking for it.
    """

    memory_mb: int = 6_144
    max_concurrency: int = 2
    max_model_bytes: int = 256 * 2**20
    max_pixel_steps: int = 64 * 64 * 50
    automatic: bool = True

    def __post_init__(self) -> None:
        """Check the memory.

        Raises:
            LaneOptionError: SageMaker does not offer it.
        """
        if self.memory_mb not in _SERVERLESS_MEMORY_MB:
            raise LaneOptionError(
                "A serverless endpoint has 1024, 2048, 3072, 4096, 5120 or 6144 MB, not "
                f"{self.memory_mb}."
            )


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """Which lanes a stage has beside the asynchronous one, which every stage has."""

    function: LambdaLane | None = None
    realtime: RealtimeLane | None = None
    serverless: ServerlessLane | None = None

    def offers(self) -> LaneOffers:
        """What the router chooses from."""
        offers = [LaneOffer(lane=Lane.ASYNC)]
        if lane := self.function:
            offers.append(
                LaneOffer(
                    lane=Lane.LAMBDA,
                    automatic=lane.automatic,
                    max_model_bytes=lane.max_model_bytes,
                    max_pixel_steps=lane.max_pixel_steps,
                )
            )
        if always := self.realtime:
            offers.append(
                LaneOffer(
                    lane=Lane.REALTIME,
                    automatic=always.automatic,
                    max_pixel_steps=always.max_pixel_steps,
                    max_pixels=_REALTIME_PIXELS,
                )
            )
        if small := self.serverless:
            offers.append(
                LaneOffer(
                    lane=Lane.SERVERLESS,
                    automatic=small.automatic,
                    max_model_bytes=small.max_model_bytes,
                    max_pixel_steps=small.max_pixel_steps,
                    max_pixels=_SERVERLESS_PIXELS,
                )
            )
        return LaneOffers(lanes=tuple(offers))

    def machines(self) -> dict[Lane, Machine]:
        """What runs the jobs of each."""
        machines: dict[Lane, Machine] = {}
        if lane := self.function:
            architecture = LambdaArchitecture(lane.architecture)
            machines[Lane.LAMBDA] = FunctionMachine(
                architecture=architecture, memory_mb=lane.memory_mb
            )
        if always := self.realtime:
            machines[Lane.REALTIME] = InstanceMachine(instance_type=always.instance_type)
        if small := self.serverless:
            machines[Lane.SERVERLESS] = ServerlessMachine(memory_mb=small.memory_mb)
        return machines

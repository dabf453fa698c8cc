"""What a stage costs in a month, from the load, list prices and stated assumptions.

An estimate of three parts: what each picture costs, what machines cost while they wait, and what
a stage costs that nobody uses. It is arithmetic on `Assumptions`, all of which the command prints.
"""

import json
import math
from dataclasses import dataclass

from infra.paths import REPOSITORY
from infra.stages import StageConfig
from nvfp4_ddim_contracts.pricing import (
    SAGEMAKER_USD_PER_HOUR,
    LambdaArchitecture,
    estimate_lambda_usd,
)

from . import prices
from .errors import UnknownPriceError

__all__ = ["Assumptions", "LaneCost", "Load", "StageCost", "measured_seconds", "stage_cost"]

DAYS_PER_MONTH = 30
_HOUR = 3_600
_DAY = 24 * _HOUR
_GB = 1_000_000_000
_MEASURED_MODEL = "emoji-64"
_MEASUREMENTS = REPOSITORY / "docs" / "benchmarks" / "demo.json"


@dataclass(frozen=True, kw_only=True)
class Load:
    """What callers do.

    Attributes:
        images_per_day: Pictures, one a job.
        seconds_per_image: The machine's work on one.
        bursts_per_day: How often a day work comes after a pause in which the machines went.
    """

    images_per_day: int
    seconds_per_image: float
    bursts_per_day: int


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """What the estimate takes for granted.

    Attributes:
        start_seconds: A machine's start, which is paid, until its container answers.
        notice_seconds: How long target tracking looks at an idle machine before it acts.
        requests_per_image: To the API: one to create the job, the others to follow it.
        function_seconds_per_image: Of all functions together, waiting included.
        function_memory_mb: Of those functions, on average.
        writes_per_image: Write units of the table, indexes included.
        reads_per_image: Read units of the table.
        puts_per_image: Objects written: request, answer, picture.
        bytes_per_image: Of one picture; delivered once.
        log_bytes_per_image: Of all log lines.
        custom_metrics: Distinct metrics with their dimensions.
        alarms: Alarms on metrics, those of target tracking included.
        secrets: Signing key and webhook root.
        quantization_seconds: Of the job that quantises a dropped model, its start included.
    """

    start_seconds: int = 420
    notice_seconds: int = 900
    requests_per_image: int = 4
    function_seconds_per_image: float = 2.5
    function_memory_mb: int = 1_024
    writes_per_image: int = 40
    reads_per_image: int = 20
    puts_per_image: int = 3
    bytes_per_image: int = 500_000
    log_bytes_per_image: int = 20_000
    custom_metrics: int = 30
    alarms: int = 23
    secrets: int = 2
    quantization_seconds: int = 1_800


@dataclass(frozen=True)
class LaneCost:
    """One kind of machine's part.

    Attributes:
        lane: What it is called.
        instance_type: SageMaker's name.
        machine_usd_per_image: The machine's work on one picture.
        idle_usd_per_month: Starts, and waiting for the next request.
        usd_per_month: Work, starts and waiting.
    """

    lane: str
    instance_type: str
    machine_usd_per_image: float
    idle_usd_per_month: float
    usd_per_month: float


@dataclass(frozen=True)
class StageCost:
    """A stage's cost.

    Attributes:
        stage: Its name.
        lanes: The machines' part.
        services_usd_per_image: API, functions, table, storage, delivery, logs.
        standing_usd_per_month: Keys, secrets, alarms, metrics, dashboard: also without a picture.
        quantization_usd: The job that quantises one dropped model; in no sum.
        quantization_instance_type: What it runs on.
        usd_per_month: Everything.
        usd_per_image: Everything, spread over the pictures; None without any.
    """

    stage: str
    lanes: tuple[LaneCost, ...]
    services_usd_per_image: float
    standing_usd_per_month: float
    quantization_usd: float
    quantization_instance_type: str
    usd_per_month: float
    usd_per_image: float | None


def measured_seconds(model: str) -> float:
    """How long a picture takes in the container, preset balanced, as docs/benchmarks has it.

    It was measured on two processor cores, which is what ml.c7i.xlarge has; a GPU is faster, so
    that the estimate for one is too high rather than too low.

    Raises:
        UnknownPriceError: The model was not measured.
    """
    if model != _MEASURED_MODEL:
        raise UnknownPriceError(
            f"How long a picture of '{model}' takes was not measured; say it by "
            "--seconds-per-image."
        )
    entries = json.loads(_MEASUREMENTS.read_text())
    return float(next(each["value"] for each in entries if each["id"] == "generate_seconds"))


def stage_cost(config: StageConfig, load: Load, assumptions: Assumptions) -> StageCost:
    """Estimate a stage's monthly cost.

    Raises:
        UnknownPriceError: No price of the stage's machine is known.
    """
    lanes = (_asynchronous(config, load, assumptions),)
    services = _services(assumptions, config)
    standing = _standing(assumptions)
    images = load.images_per_day * DAYS_PER_MONTH
    total = sum(lane.usd_per_month for lane in lanes) + services * images + standing
    job = config.quantization.instance_type
    return StageCost(
        stage=config.name,
        lanes=lanes,
        services_usd_per_image=services,
        standing_usd_per_month=standing,
        quantization_usd=_usd_per_second(job) * assumptions.quantization_seconds,
        quantization_instance_type=job,
        usd_per_month=total,
        usd_per_image=total / images if images else None,
    )


def _asynchronous(config: StageConfig, load: Load, assumptions: Assumptions) -> LaneCost:
    capacity = config.capacity
    usd_per_second = _usd_per_second(capacity.instance_type)
    busy = load.images_per_day * load.seconds_per_image
    if busy > _DAY * capacity.max_instances:
        raise UnknownPriceError(
            f"{load.images_per_day} pictures of {load.seconds_per_image:g} s are more than "
            f"{capacity.max_instances} machines make in a day; raise max_instances."
        )
    bursts = min(load.bursts_per_day, load.images_per_day)
    pause = assumptions.start_seconds + assumptions.notice_seconds
    idle: float = bursts * (pause + capacity.scale_in_cooldown_seconds)
    # As many machines as the work fills run all day at most.
    idle = min(idle, _DAY * max(1, math.ceil(busy / _DAY)) - busy)
    return LaneCost(
        lane="asynchronous",
        instance_type=capacity.instance_type,
        machine_usd_per_image=usd_per_second * load.seconds_per_image,
        idle_usd_per_month=usd_per_second * idle * DAYS_PER_MONTH,
        usd_per_month=usd_per_second * (busy + idle) * DAYS_PER_MONTH,
    )


def _usd_per_second(instance_type: str) -> float:
    if instance_type not in SAGEMAKER_USD_PER_HOUR:
        raise UnknownPriceError(
            f"No price of {instance_type} is known; add it to nvfp4_ddim_contracts/pricing.py."
        )
    return SAGEMAKER_USD_PER_HOUR[instance_type] / _HOUR


def _services(assumptions: Assumptions, config: StageConfig) -> float:
    stored = assumptions.bytes_per_image / _GB
    return sum(
        (
            prices.API_USD_PER_REQUEST * assumptions.requests_per_image,
            estimate_lambda_usd(
                LambdaArchitecture.ARM64,
                memory_mb=assumptions.function_memory_mb,
                billed_seconds=assumptions.function_seconds_per_image,
                # The authoriser runs before every one.
                requests=2 * assumptions.requests_per_image + 2,
            ),
            prices.TABLE_USD_PER_WRITE_UNIT * assumptions.writes_per_image,
            prices.TABLE_USD_PER_READ_UNIT * assumptions.reads_per_image,
            prices.STORAGE_USD_PER_PUT * assumptions.puts_per_image,
            prices.STORAGE_USD_PER_GB_MONTH * stored * config.times.results_days / DAYS_PER_MONTH,
            prices.CDN_USD_PER_GB * stored,
            prices.LOGS_USD_PER_GB * assumptions.log_bytes_per_image / _GB,
        )
    )


def _standing(assumptions: Assumptions) -> float:
    return (
        prices.KEY_USD_PER_MONTH
        + prices.SECRET_USD_PER_MONTH * assumptions.secrets
        + prices.ALARM_USD_PER_MONTH * assumptions.alarms
        + prices.COMPOSITE_ALARM_USD_PER_MONTH
        + prices.METRIC_USD_PER_MONTH * assumptions.custom_metrics
        + prices.DASHBOARD_USD_PER_MONTH
    )

"""What a stage costs in a month, from the load, list prices and stated assumptions.

An estimate of three parts: what each picture costs, what machines cost while they wait, and what
a stage costs that nobody uses. It is arithmetic on `Assumptions`, all of which the command prints.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from infra.lane_machines import lane_machines
from infra.lane_options import RealtimeLane
from infra.stages import StageConfig
from nvfp4_ddim_contracts import Lane
from nvfp4_ddim_contracts.pricing import (
    LambdaArchitecture,
    MachinePrice,
    estimate_lambda_usd,
    instance_price,
)

from . import prices
from .errors import UnknownPriceError, WrongShareError
from .load import Load

__all__ = ["Assumptions", "LaneCost", "StageCost", "stage_cost"]

DAYS_PER_MONTH = 30
_HOUR = 3_600
_DAY = 24 * _HOUR
_GB = 1_000_000_000


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
    """One lane's part.

    Attributes:
        lane: The lane.
        machine: What is paid for.
        machine_usd_per_image: The machine's work on one picture.
        images_per_month: Pictures that it makes.
        idle_usd_per_month: Starts, and waiting for the next request; nothing where only work is
            paid.
    """

    lane: Lane
    machine: str
    machine_usd_per_image: float
    images_per_month: float
    idle_usd_per_month: float

    @property
    def work_usd_per_month(self) -> float:
        """All pictures' work."""
        return self.machine_usd_per_image * self.images_per_month

    @property
    def usd_per_month(self) -> float:
        """Work, starts and waiting."""
        return self.work_usd_per_month + self.idle_usd_per_month


@dataclass(frozen=True)
class StageCost:
    """A stage's cost.

    Attributes:
        stage: Its name.
        lanes: The machines' part, lane by lane.
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


def stage_cost(config: StageConfig, load: Load, assumptions: Assumptions) -> StageCost:
    """Estimate a stage's monthly cost.

    Raises:
        UnknownPriceError: No price of one of the stage's machines is known, or they can't make so
            many pictures.
        WrongShareError: A lane has a share that the stage does not have.
    """
    unknown = [lane for lane in load.shares if lane not in lane_machines(config).machines]
    if unknown:
        raise WrongShareError(
            f"The stage '{config.name}' has no lane {', '.join(unknown)}, so that it has no share."
        )
    lanes = tuple(_lanes(config, load, assumptions))
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
        quantization_usd=_price(job).usd(assumptions.quantization_seconds),
        quantization_instance_type=job,
        usd_per_month=total,
        usd_per_image=total / images if images else None,
    )


def _lanes(config: StageConfig, load: Load, assumptions: Assumptions) -> Iterator[LaneCost]:
    machines = lane_machines(config)
    yield _asynchronous(config, load, assumptions)
    if lane := config.lanes.realtime:
        yield _realtime(lane, load)
    for used in (Lane.LAMBDA, Lane.SERVERLESS):
        # Only work is paid: the machine is there for as long as it works.
        if price := machines.price(used):
            yield _lane(used, price, load, idle_seconds_per_day=0)


def _asynchronous(config: StageConfig, load: Load, assumptions: Assumptions) -> LaneCost:
    capacity = config.capacity
    images = load.images_per_day * load.share(Lane.ASYNC)
    busy = images * load.seconds_per_image
    _check_capacity(load, Lane.ASYNC, capacity.max_instances)
    bursts = min(load.bursts_per_day, images)
    pause = assumptions.start_seconds + assumptions.notice_seconds
    idle: float = bursts * (pause + capacity.scale_in_cooldown_seconds)
    # As many machines as the work fills run all day at most.
    idle = min(idle, _DAY * max(1, math.ceil(busy / _DAY)) - busy)
    return _lane(Lane.ASYNC, _price(capacity.instance_type), load, idle_seconds_per_day=idle)


def _realtime(lane: RealtimeLane, load: Load) -> LaneCost:
    _check_capacity(load, Lane.REALTIME, lane.max_instances)
    busy = load.images_per_day * load.share(Lane.REALTIME) * load.seconds_per_image
    standing = max(lane.min_instances * _DAY - busy, 0)
    return _lane(Lane.REALTIME, _price(lane.instance_type), load, idle_seconds_per_day=standing)


def _lane(lane: Lane, price: MachinePrice, load: Load, *, idle_seconds_per_day: float) -> LaneCost:
    return LaneCost(
        lane=lane,
        machine=price.machine,
        machine_usd_per_image=price.usd(load.seconds_per_image),
        images_per_month=load.images_per_day * load.share(lane) * DAYS_PER_MONTH,
        idle_usd_per_month=price.usd(idle_seconds_per_day * DAYS_PER_MONTH, requests=0),
    )


def _check_capacity(load: Load, lane: Lane, instances: int) -> None:
    images = load.images_per_day * load.share(lane)
    if images * load.seconds_per_image > _DAY * instances:
        raise UnknownPriceError(
            f"{images:g} pictures of {load.seconds_per_image:g} s are more than {instances} "
            f"machines of the lane {lane} make in a day; raise max_instances."
        )


def _price(instance_type: str) -> MachinePrice:
    price = instance_price(instance_type)
    if price is None:
        raise UnknownPriceError(
            f"No price of {instance_type} is known; add it to nvfp4_ddim_contracts/pricing.py."
        )
    return price


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

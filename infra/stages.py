"""What differs between stages: one frozen `StageConfig` each, and nothing else.

`cdk deploy -c stage=prod` chooses one. Account and region are not part of a stage: `app.py` takes
them from the CLI's credentials.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

from .errors import LaneOptionError, UnknownStageError
from .lane_options import InstancePool, LambdaLane, Lanes, Precision, WarmWindow
from .paths import BUNDLED_MODELS
from .quantization_options import QuantizationCapacity

__all__ = [
    "DEFAULT_LOCAL_PORT_BASE",
    "SERVICE_TAG",
    "ApiLimits",
    "BatchLimits",
    "CustomDomain",
    "Firewall",
    "ImageTarget",
    "InferenceCapacity",
    "JobTimes",
    "LocalUrls",
    "PeopleAccess",
    "Rollout",
    "SpendingLimit",
    "StageConfig",
    "stage_config",
]

DEFAULT_LOCAL_PORT_BASE = 4610
SERVICE_TAG = ("service", "nvfp4-ddim")
"""With the tag `stage` it marks every resource, and what the budget counts."""
_MAX_POOLS = 5
# 16 GB of memory: Stable Diffusion 1.x and 2.x.
_SMALL_QUANTIZATION = QuantizationCapacity(
    instance_type="ml.m7i.xlarge", volume_gb=50, max_runtime_seconds=4 * 3_600, max_model_gb=20
)


class ImageTarget(StrEnum):
    """Targets of `inference/Dockerfile`."""

    CPU = "cpu"
    GPU = "gpu"


@dataclass(frozen=True, kw_only=True)
class InferenceCapacity:
    """The machines behind the asynchronous endpoint.

    Attributes:
        instance_type: SageMaker instance type; not looked at where there are pools.
        pools: Instance types to try in this order, at most five; None beside `instance_type`.
        image_target: Which image runs on it.
        inference_ami_version: Host image; None is SageMaker's default. GPU stages need one whose
            driver is new enough for the CUDA of the image.
        max_instances: Upper bound of scaling; the lower bound is zero.
        max_concurrent_invocations: Requests that SageMaker hands to one instance at a time.
        backlog_per_instance: Waiting requests per instance that scaling aims at.
        scale_in_cooldown_seconds: Idle time before an instance goes.
        warm_windows: Times in which instances are kept without work.
        startup_timeout_seconds: Time for a container to answer its first health check.
    """

    instance_type: str
    pools: tuple[InstancePool, ...] = ()
    image_target: ImageTarget
    inference_ami_version: str | None = None
    max_instances: int
    max_concurrent_invocations: int = 2
    backlog_per_instance: float = 4
    scale_in_cooldown_seconds: int = 600
    warm_windows: tuple[WarmWindow, ...] = ()
    startup_timeout_seconds: int = 900

    def __post_init__(self) -> None:
        """Check the ladder and the windows.

        Raises:
            LaneOptionError: The ladder is longer than SageMaker's, or names a type twice; or a
                window keeps more instances than there may be.
        """
        if any(window.instances > self.max_instances for window in self.warm_windows):
            raise LaneOptionError(
                f"A warm window keeps more than the {self.max_instances} instances there may be."
            )
        types = [pool.instance_type for pool in self.pools]
        if len(types) > _MAX_POOLS or len(set(types)) != len(types):
            raise LaneOptionError(
                f"An endpoint has at most {_MAX_POOLS} instance pools, each of another type."
            )


@dataclass(frozen=True, kw_only=True)
class ApiLimits:
    """What one API key may use, or all people together."""

    requests_per_second: float
    burst: int
    requests_per_month: int


@dataclass(frozen=True, kw_only=True)
class PeopleAccess:
    """People who sign in, beside programs with API keys.

    Attributes:
        limits: What all of them together may use.
        self_sign_up: Whether anybody may make an account; else an operator invites.
        threat_protection: Whether Cognito looks for stolen passwords and unusual sign-ins; that
            needs its plan Plus, which costs more for each person.
    """

    limits: ApiLimits
    self_sign_up: bool = False
    threat_protection: bool = False


@dataclass(frozen=True, kw_only=True)
class Firewall:
    """AWS WAF before the API; it costs a fixed fee per month and one per request.

    Attributes:
        requests_per_address: What one IP address may send in five minutes; 10 at least.
    """

    requests_per_address: int


@dataclass(frozen=True, kw_only=True)
class BatchLimits:
    """How a batch is worked on.

    Attributes:
        max_concurrent_tasks: Tasks under way at a time, of one batch.
        rows_per_task: Rows of one task. With the above it bounds how many of a batch's jobs wait at
            the endpoint; they must be made within a job's deadline.
        tolerated_failure_percentage: Rows in a hundred that may fail before the batch has failed.
        days: How long manifests and pictures stay.
    """

    max_concurrent_tasks: int
    rows_per_task: int = 10
    tolerated_failure_percentage: float = 5
    days: int = 30


@dataclass(frozen=True, kw_only=True)
class JobTimes:
    """How long things live, and how often an attempt is repeated."""

    deadline_seconds: int = 3_600
    lifetime_seconds: int = 7 * 86_400
    url_lifetime_seconds: int = 3_600
    max_attempts: int = 3
    results_days: int = 7


@dataclass(frozen=True, kw_only=True)
class SpendingLimit:
    """What the stage may cost.

    Attributes:
        monthly_usd: In a calendar month; the service stops when it is spent.
        warn_at_percent: When operators are warned before.
        mail: Who gets warnings and alarms; None leaves it to subscriptions made by hand.
    """

    monthly_usd: int
    warn_at_percent: tuple[int, ...] = (50, 80)
    mail: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How fast a release reaches devices, and when it stops.

    Attributes:
        devices_per_minute: At most.
        successes_before_faster: Devices that succeed before the rate doubles.
        abort_after_devices: How many devices have to have tried before failures count.
        abort_percentage: Share of failures that ends the rollout.
        timeout_minutes: Time for one device, its download included.
    """

    devices_per_minute: int = 50
    successes_before_faster: int = 10
    abort_after_devices: int = 5
    abort_percentage: float = 20
    timeout_minutes: int = 720


@dataclass(frozen=True, kw_only=True)
class CustomDomain:
    """A name of one's own for the CDN.

    Attributes:
        name: Such as images.example.org; its DNS record is made outside this app.
        certificate_arn: ACM certificate for it, in us-east-1.
    """

    name: str
    certificate_arn: str


@dataclass(frozen=True, kw_only=True)
class LocalUrls:
    """Where the local cloud answers in place of AWS's own addresses. No slash at the end."""

    api: str
    aws: str
    cdn: str
    sign_in: str


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One stage of the service.

    Attributes:
        name: Part of the stack names, and the name of the API's deployment stage.
        model_name: The model that jobs use when they name none.
        model_directory: Its NVFP4 artifact.
        capacity: Machines for inference.
        limits: Use per API key.
        people: People who sign in.
        firewall: AWS WAF before the API, where there is one.
        private_network: Whether functions and the endpoint run in a network without a way out; its
            endpoints have a price per hour.
        times: Deadlines and lifetimes.
        spending: What it may cost.
        batches: How batches are worked on.
        quantization: The machine that quantises dropped models.
        rollout: Of releases to devices.
        keep_data: Whether buckets, table and keys outlive their stack. Where not, deletion empties
            them first.
        encrypt_table_with_own_key: Whether the job table uses the stage's key, not AWS's own.
        log_retention_days: Of functions and the API; one of CloudWatch's values.
        log_level: Of functions and the container.
        price_class: Which of CloudFront's price classes.
        lambdas_run_on_host: Whether functions run on this machine's Python, not on AWS Lambda's.
        private_webhooks: Whether webhooks may call this machine and private networks.
        lanes: Ways to run jobs beside the asynchronous endpoint.
        max_event_streams: How many streams of job events may be open at a time; they are taken from
            the account's concurrency. None sets nothing aside and limits nothing.
        max_event_streams_per_caller: How many of them one caller may hold.
        domain: The CDN's own name, if it has one.
        local_urls: Set where the local cloud stands in for AWS.
    """

    name: str
    model_name: str = "emoji-64"
    model_directory: Path = BUNDLED_MODELS / "emoji-64"
    capacity: InferenceCapacity
    limits: ApiLimits
    people: PeopleAccess
    firewall: Firewall | None = None
    private_network: bool = False
    times: JobTimes = field(default_factory=JobTimes)
    spending: SpendingLimit
    batches: BatchLimits = field(default_factory=lambda: BatchLimits(max_concurrent_tasks=4))
    quantization: QuantizationCapacity = _SMALL_QUANTIZATION
    rollout: Rollout = field(default_factory=Rollout)
    keep_data: bool = False
    encrypt_table_with_own_key: bool = False
    log_retention_days: int = 14
    log_level: str = "INFO"
    price_class: Literal["100", "200", "ALL"] = "100"
    lambdas_run_on_host: bool = False
    private_webhooks: bool = False
    lanes: Lanes = field(default_factory=Lanes)
    max_event_streams: int | None = None
    max_event_streams_per_caller: int = 10
    domain: CustomDomain | None = None
    local_urls: LocalUrls | None = None

    def __post_init__(self) -> None:
        """Check that options fit together.

        Raises:
            LaneOptionError: A lane would run outside the private network.
        """
        if self.private_network and self.lanes != Lanes():
            raise LaneOptionError(
                "The private network has room for the asynchronous lane only: leave the others out."
            )


_DEV = StageConfig(
    name="dev",
    # Four cores make a picture of the bundled model in seconds, without a GPU quota.
    capacity=InferenceCapacity(
        instance_type="ml.c7i.xlarge", image_target=ImageTarget.CPU, max_instances=1
    ),
    limits=ApiLimits(requests_per_second=10, burst=20, requests_per_month=100_000),
    people=PeopleAccess(
        limits=ApiLimits(requests_per_second=10, burst=20, requests_per_month=100_000)
    ),
    spending=SpendingLimit(monthly_usd=50),
)

_PROD = StageConfig(
    name="prod",
    # FP4 arithmetic needs Blackwell (g7, g7e), for which few accounts have a quota. L40S, L4 and
    # A10G have no FP4 units: weights stay NVFP4 in memory, and arithmetic is bf16.
    capacity=InferenceCapacity(
        instance_type="ml.g6.xlarge",
        pools=(
            InstancePool(instance_type="ml.g7.2xlarge", min_precision=Precision.NVFP4),
            InstancePool(instance_type="ml.g7e.2xlarge", min_precision=Precision.NVFP4),
            InstancePool(instance_type="ml.g6e.xlarge"),
            InstancePool(instance_type="ml.g6.xlarge"),
            InstancePool(instance_type="ml.g5.xlarge"),
        ),
        image_target=ImageTarget.GPU,
        inference_ami_version="al2023-ami-sagemaker-inference-gpu-4-1",
        max_instances=4,
        backlog_per_instance=8,
    ),
    limits=ApiLimits(requests_per_second=50, burst=100, requests_per_month=2_000_000),
    people=PeopleAccess(
        limits=ApiLimits(requests_per_second=50, burst=100, requests_per_month=2_000_000)
    ),
    # An office behind one address polls each of its jobs about once a second.
    firewall=Firewall(requests_per_address=6_000),
    times=JobTimes(results_days=30, lifetime_seconds=30 * 86_400),
    # Two of the four machines, day and night.
    spending=SpendingLimit(monthly_usd=1_700),
    batches=BatchLimits(max_concurrent_tasks=20, days=90),
    quantization=QuantizationCapacity(
        instance_type="ml.m7i.4xlarge",
        volume_gb=150,
        max_runtime_seconds=12 * 3_600,
        max_model_gb=60,
    ),
    keep_data=True,
    encrypt_table_with_own_key=True,
    log_retention_days=90,
    price_class="ALL",
    # A fifth of an account's default concurrency: listeners must not starve the other functions.
    max_event_streams=200,
)


def _local(port_base: int) -> StageConfig:
    limits = ApiLimits(requests_per_second=100, burst=200, requests_per_month=10_000_000)
    return replace(
        _DEV,
        name="local",
        limits=limits,
        people=PeopleAccess(limits=limits),
        # The rules are deployed and enforced; tests all come from one address.
        firewall=Firewall(requests_per_address=100_000),
        lambdas_run_on_host=True,
        private_webhooks=True,
        # For those who ask: a first answer takes longer here than a caller may wait.
        lanes=Lanes(function=LambdaLane(max_concurrency=1, automatic=False)),
        local_urls=LocalUrls(
            api=f"http://127.0.0.1:{port_base + 1}",
            aws=f"http://127.0.0.1:{port_base}",
            cdn=f"http://127.0.0.1:{port_base + 2}",
            sign_in=f"http://127.0.0.1:{port_base + 9}",
        ),
    )


def stage_config(name: str, *, local_port_base: int = DEFAULT_LOCAL_PORT_BASE) -> StageConfig:
    """The configuration of a stage.

    Args:
        name: dev, prod or local.
        local_port_base: First port of the local cloud; used by the stage local only.

    Raises:
        UnknownStageError: There is no such stage.
    """
    stages = {stage.name: stage for stage in (_DEV, _PROD, _local(local_port_base))}
    if name not in stages:
        raise UnknownStageError(f"No stage is called {name!r}; choose one of {', '.join(stages)}.")
    return stages[name]

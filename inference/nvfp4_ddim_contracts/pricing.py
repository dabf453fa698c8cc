"""What a job and its functions cost, estimated from one table of list prices.

The prices are AWS's on-demand list prices in US dollars for us-east-1, without free tier, savings
plans or tax. They make an estimate, not a bill: a SageMaker instance is paid from its start to its
end, idle time included, and a job knows only the seconds that it kept the instance busy.

Source: AWS's public price list, offers AmazonSageMaker (usage types `USE1-Host:` and
`USE1-AsyncInf:`, which cost the same) and AWSLambda (`Lambda-GB-Second`, first tier), from
published copies of it. The CPU types' prices are EC2's with SageMaker's surcharge of 20 %,
which agrees with the rounded figures that are published. Prices change: compare with
https://aws.amazon.com/sagemaker/ai/pricing and https://aws.amazon.com/lambda/pricing.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from types import MappingProxyType

from pydantic import Field

from ._base import Contract

__all__ = [
    "LAMBDA_USD_PER_GB_SECOND",
    "LAMBDA_USD_PER_REQUEST",
    "PRICES_AS_OF",
    "PRICE_REGION",
    "SAGEMAKER_USD_PER_HOUR",
    "CostEstimate",
    "LambdaArchitecture",
    "estimate_inference",
    "estimate_lambda_usd",
]

PRICES_AS_OF = date(2026, 11, 25)
PRICE_REGION = "us-east-1"
_SECONDS_PER_HOUR = 3_600
_MB_PER_GB = 1_024


class LambdaArchitecture(StrEnum):
    """Processors of AWS Lambda, as its API spells them."""

    X86_64 = "x86_64"
    ARM64 = "arm64"


SAGEMAKER_USD_PER_HOUR: Mapping[str, float] = MappingProxyType(
    {
        "ml.c7g.xlarge": 0.174,
        "ml.c7i.xlarge": 0.2142,
        "ml.g5.xlarge": 1.408,
        "ml.g6.xlarge": 1.1267,
        "ml.g6e.xlarge": 2.6054,
        "ml.m7i.4xlarge": 0.9677,
        "ml.m7i.xlarge": 0.2419,
    }
)
LAMBDA_USD_PER_GB_SECOND: Mapping[LambdaArchitecture, float] = MappingProxyType(
    {LambdaArchitecture.X86_64: 0.0000166667, LambdaArchitecture.ARM64: 0.0000133334}
)
LAMBDA_USD_PER_REQUEST = 0.20 / 1_000_000


class CostEstimate(Contract):
    """What the machine's time for a job costs at list price. An estimate, not a bill."""

    usd: float = Field(ge=0, description="busy_seconds at usd_per_hour.")
    busy_seconds: float = Field(
        ge=0, description="How long the instance worked on the job; waiting is not in it."
    )
    instance_type: str
    usd_per_hour: float = Field(ge=0, description="On demand, us-east-1.")
    prices_as_of: date


def estimate_inference(instance_type: str, busy_seconds: float) -> CostEstimate | None:
    """The cost of keeping an instance busy.

    Args:
        instance_type: SageMaker's name, such as ml.g6.xlarge.
        busy_seconds: How long.

    Returns:
        The estimate, or None for an instance type without a known price: none is better than a
        wrong one.
    """
    usd_per_hour = SAGEMAKER_USD_PER_HOUR.get(instance_type)
    if usd_per_hour is None:
        return None
    return CostEstimate(
        usd=usd_per_hour * busy_seconds / _SECONDS_PER_HOUR,
        busy_seconds=busy_seconds,
        instance_type=instance_type,
        usd_per_hour=usd_per_hour,
        prices_as_of=PRICES_AS_OF,
    )


def estimate_lambda_usd(
    architecture: LambdaArchitecture, *, memory_mb: int, billed_seconds: float, requests: int = 1
) -> float:
    """US dollars for so many invocations that were billed so many seconds in all."""
    gb_seconds = memory_mb / _MB_PER_GB * billed_seconds
    return LAMBDA_USD_PER_GB_SECOND[architecture] * gb_seconds + LAMBDA_USD_PER_REQUEST * requests

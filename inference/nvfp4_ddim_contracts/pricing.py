"""What a job and its functions cost, estimated from one table of list prices.

The prices are AWS's on-demand list prices in US dollars for us-east-1, without free tier, savings
plans or tax. They make an estimate, not a bill: a SageMaker instance is paid from its start to its
end, idle time included, and a job knows only the seconds that it kept the instance busy. What
SageMaker asks for data that goes in and out is left out.

Source: AWS's public price list, offers AmazonSageMaker (usage types `USE1-Host:` and
`USE1-AsyncInf:`, which cost the same) and AWSLambda (`Lambda-GB-Second`, first tier), from
published copies of it. The CPU types' prices are EC2's with SageMaker's surcharge of 20 %,
which agrees with the rounded figures that are published. A serverless endpoint's price is that of
the usage types `USE1-ServerlessInf:Mem-1GB` to `-6GB`, the same for each GB. Prices change: compare
with https://aws.amazon.com/sagemaker/ai/pricing and https://aws.amazon.com/lambda/pricing.
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
    "SERVERLESS_USD_PER_GB_SECOND",
    "CostEstimate",
    "LambdaArchitecture",
    "MachinePrice",
    "estimate_lambda_usd",
    "function_price",
    "instance_price",
    "serverless_price",
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


SERVERLESS_USD_PER_GB_SECOND = 0.00002


class CostEstimate(Contract):
    """What the machine's time for a job costs at list price. An estimate, not a bill."""

    usd: float = Field(ge=0, description="busy_seconds at usd_per_hour, and usd_per_request once.")
    busy_seconds: float = Field(
        ge=0, description="How long the machine worked on the job; waiting is not in it."
    )
    machine: str = Field(
        description="What was paid for: an instance type, or a function's or endpoint's size."
    )
    usd_per_hour: float = Field(ge=0, description="On demand, us-east-1, while it works.")
    usd_per_request: float = Field(0.0, ge=0, description="Beside the time.")
    prices_as_of: date


class MachinePrice(Contract):
    """What a machine's work costs at list price."""

    machine: str
    usd_per_hour: float = Field(ge=0)
    usd_per_request: float = Field(0.0, ge=0)

    def usd(self, busy_seconds: float, requests: int = 1) -> float:
        """US dollars for work of so many seconds."""
        return (
            self.usd_per_hour * busy_seconds / _SECONDS_PER_HOUR + self.usd_per_request * requests
        )

    def estimate(self, busy_seconds: float, requests: int = 1) -> CostEstimate:
        """The cost of keeping the machine busy.

        Args:
            busy_seconds: How long, in all.
            requests: How many pieces of work that was.
        """
        return CostEstimate(
            usd=self.usd(busy_seconds, requests),
            busy_seconds=busy_seconds,
            machine=self.machine,
            usd_per_hour=self.usd_per_hour,
            usd_per_request=self.usd_per_request,
            prices_as_of=PRICES_AS_OF,
        )


def instance_price(instance_type: str) -> MachinePrice | None:
    """The price of a SageMaker instance.

    Args:
        instance_type: SageMaker's name, such as ml.g6.xlarge.

    Returns:
        The price, or None for a type without a known one: none is better than a wrong one.
    """
    usd_per_hour = SAGEMAKER_USD_PER_HOUR.get(instance_type)
    if usd_per_hour is None:
        return None
    return MachinePrice(machine=instance_type, usd_per_hour=usd_per_hour)


def function_price(architecture: LambdaArchitecture, memory_mb: int) -> MachinePrice:
    """The price of a Lambda function's work."""
    usd_per_second = LAMBDA_USD_PER_GB_SECOND[architecture] * memory_mb / _MB_PER_GB
    return MachinePrice(
        machine=f"Lambda, {memory_mb} MB, {architecture}",
        usd_per_hour=usd_per_second * _SECONDS_PER_HOUR,
        usd_per_request=LAMBDA_USD_PER_REQUEST,
    )


def serverless_price(memory_mb: int) -> MachinePrice:
    """The price of a serverless endpoint's work."""
    usd_per_second = SERVERLESS_USD_PER_GB_SECOND * memory_mb / _MB_PER_GB
    return MachinePrice(
        machine=f"serverless endpoint, {memory_mb} MB",
        usd_per_hour=usd_per_second * _SECONDS_PER_HOUR,
    )


def estimate_lambda_usd(
    architecture: LambdaArchitecture, *, memory_mb: int, billed_seconds: float, requests: int = 1
) -> float:
    """US dollars for so many invocations that were billed so many seconds in all."""
    gb_seconds = memory_mb / _MB_PER_GB * billed_seconds
    return LAMBDA_USD_PER_GB_SECOND[architecture] * gb_seconds + LAMBDA_USD_PER_REQUEST * requests

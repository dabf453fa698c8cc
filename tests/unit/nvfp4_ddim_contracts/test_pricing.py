"""Estimates of cost."""

import pytest

from infra.stages import stage_config
from nvfp4_ddim_contracts.pricing import (
    LAMBDA_USD_PER_GB_SECOND,
    SAGEMAKER_USD_PER_HOUR,
    LambdaArchitecture,
    estimate_inference,
    estimate_lambda_usd,
)


def test_an_hour_costs_the_hourly_price() -> None:
    estimate = estimate_inference("ml.g6.xlarge", 3_600)
    assert estimate is not None
    assert estimate.usd == pytest.approx(SAGEMAKER_USD_PER_HOUR["ml.g6.xlarge"])


def test_cost_grows_with_the_seconds() -> None:
    estimate = estimate_inference("ml.c7i.xlarge", 9)
    assert estimate is not None
    assert estimate.usd == pytest.approx(0.2142 / 400)
    assert estimate.busy_seconds == 9


def test_an_unknown_instance_type_has_no_estimate() -> None:
    assert estimate_inference("ml.unheard-of.xlarge", 10) is None


@pytest.mark.parametrize("stage", ["dev", "prod", "local"])
def test_every_stages_instance_type_has_a_price(stage: str) -> None:
    assert stage_config(stage).capacity.instance_type in SAGEMAKER_USD_PER_HOUR


def test_lambda_costs_memory_times_time_and_a_fee_per_request() -> None:
    cost = estimate_lambda_usd(
        LambdaArchitecture.ARM64, memory_mb=512, billed_seconds=2, requests=1_000_000
    )
    assert cost == pytest.approx(LAMBDA_USD_PER_GB_SECOND[LambdaArchitecture.ARM64] + 0.20)

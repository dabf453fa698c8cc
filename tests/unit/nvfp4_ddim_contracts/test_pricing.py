"""Estimates of cost."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from infra.lane_machines import lane_machines
from infra.lane_options import Architecture, LambdaLane, Lanes, RealtimeLane, ServerlessLane
from infra.stages import stage_config
from nvfp4_ddim_contracts import Lane
from nvfp4_ddim_contracts.machines import LaneMachines
from nvfp4_ddim_contracts.pricing import (
    LAMBDA_USD_PER_GB_SECOND,
    SAGEMAKER_USD_PER_HOUR,
    LambdaArchitecture,
    MachinePrice,
    estimate_lambda_usd,
    function_price,
    instance_price,
    serverless_price,
)


def priced(instance_type: str) -> MachinePrice:
    price = instance_price(instance_type)
    assert price is not None
    return price


def test_an_hour_costs_the_hourly_price() -> None:
    estimate = priced("ml.g6.xlarge").estimate(3_600)
    assert estimate.usd == pytest.approx(SAGEMAKER_USD_PER_HOUR["ml.g6.xlarge"])
    assert estimate.machine == "ml.g6.xlarge"


def test_cost_grows_with_the_seconds() -> None:
    estimate = priced("ml.c7i.xlarge").estimate(9)
    assert estimate.usd == pytest.approx(0.2142 / 400)
    assert estimate.busy_seconds == 9


def test_an_unknown_instance_type_has_no_price() -> None:
    assert instance_price("ml.unheard-of.xlarge") is None


def test_a_function_is_paid_by_its_memory_and_a_fee() -> None:
    price = function_price(LambdaArchitecture.ARM64, 2_048)
    assert price.estimate(10).usd == pytest.approx(
        estimate_lambda_usd(LambdaArchitecture.ARM64, memory_mb=2_048, billed_seconds=10)
    )
    assert price.estimate(0).usd == price.usd_per_request > 0
    x86 = function_price(LambdaArchitecture.X86_64, 2_048)
    assert x86.usd_per_hour > price.usd_per_hour


def test_a_serverless_endpoint_is_paid_by_its_memory() -> None:
    estimate = serverless_price(3_072).estimate(100)
    # The price list's own figure for 3 GB, per second.
    assert estimate.usd == pytest.approx(100 * 0.00006)
    assert estimate.machine == "serverless endpoint, 3072 MB"


def test_a_stages_machines_are_those_of_its_lanes() -> None:
    lanes = Lanes(
        function=LambdaLane(memory_mb=2_048, architecture=Architecture.ARM64),
        realtime=RealtimeLane(instance_type="ml.g6.xlarge", max_pixel_steps=1),
        serverless=ServerlessLane(memory_mb=4_096),
    )
    machines = lane_machines(replace(stage_config("dev"), lanes=lanes))
    assert LaneMachines.model_validate_json(machines.model_dump_json()) == machines
    names = {lane: price.machine for lane in Lane if (price := machines.price(lane))}
    assert names == {
        Lane.ASYNC: "ml.c7i.xlarge",
        Lane.LAMBDA: "Lambda, 2048 MB, arm64",
        Lane.REALTIME: "ml.g6.xlarge",
        Lane.SERVERLESS: "serverless endpoint, 4096 MB",
    }


def test_of_a_ladder_only_the_container_can_tell() -> None:
    machines = lane_machines(stage_config("prod"))
    assert machines.price(Lane.ASYNC) is None
    told = machines.price(Lane.ASYNC, "ml.g5.xlarge")
    assert told is not None
    assert told.machine == "ml.g5.xlarge"


def test_a_size_that_aws_does_not_have_is_refused() -> None:
    small = {"kind": "serverless", "memory_mb": 1}
    with pytest.raises(ValidationError):
        LaneMachines.model_validate({"machines": {"serverless": small}})


@pytest.mark.parametrize("stage", ["dev", "prod", "local"])
def test_every_stages_instance_type_has_a_price(stage: str) -> None:
    assert stage_config(stage).capacity.instance_type in SAGEMAKER_USD_PER_HOUR


def test_lambda_costs_memory_times_time_and_a_fee_per_request() -> None:
    cost = estimate_lambda_usd(
        LambdaArchitecture.ARM64, memory_mb=512, billed_seconds=2, requests=1_000_000
    )
    assert cost == pytest.approx(LAMBDA_USD_PER_GB_SECOND[LambdaArchitecture.ARM64] + 0.20)

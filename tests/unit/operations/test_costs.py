import dataclasses
import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from infra.lane_options import Architecture, LambdaLane, Lanes, RealtimeLane, ServerlessLane
from infra.stages import stage_config
from nvfp4_ddim_contracts import Lane
from nvfp4_ddim_contracts.pricing import (
    SAGEMAKER_USD_PER_HOUR,
    LambdaArchitecture,
    function_price,
)
from operations.cli import app
from operations.costs import Assumptions, LaneCost, StageCost, stage_cost
from operations.errors import UnknownPriceError, WrongShareError
from operations.load import Load, measured_seconds, read_shares

PAGE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "costs.md"
DAY = 86_400


def estimate(images: int, seconds: float = 2.0, bursts: int = 1, stage: str = "prod") -> StageCost:
    load = Load(images_per_day=images, seconds_per_image=seconds, bursts_per_day=bursts)
    return stage_cost(stage_config(stage), load, Assumptions())


def test_work_is_the_machines_time_at_its_price() -> None:
    cost = estimate(500)
    (lane,) = cost.lanes
    hourly = SAGEMAKER_USD_PER_HOUR["ml.g6.xlarge"]
    assert lane.machine_usd_per_image == pytest.approx(hourly * 2 / 3600)
    assert lane.work_usd_per_month == pytest.approx(hourly * 2 / 3600 * 500 * 30)


def test_a_burst_pays_a_start_the_notice_and_the_cooldown() -> None:
    one, three = estimate(500, bursts=1), estimate(500, bursts=3)
    per_second = SAGEMAKER_USD_PER_HOUR["ml.g6.xlarge"] / 3600
    expected = (420 + 900 + 600) * per_second * 30
    assert one.lanes[0].idle_usd_per_month == pytest.approx(expected)
    assert three.lanes[0].idle_usd_per_month == pytest.approx(3 * expected)


def test_a_stage_that_nobody_uses_costs_what_stands() -> None:
    cost = estimate(0)
    assert cost.lanes[0].usd_per_month == 0
    assert cost.usd_per_month == cost.standing_usd_per_month > 0
    assert cost.usd_per_image is None


@settings(deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 200))
def test_the_parts_make_the_whole_and_no_machine_runs_for_more_than_the_day(
    images: int, bursts: int
) -> None:
    cost = estimate(images, bursts=bursts)
    (lane,) = cost.lanes
    services = cost.services_usd_per_image * images * 30
    total = lane.usd_per_month + services + cost.standing_usd_per_month
    assert cost.usd_per_month == pytest.approx(total)
    seconds = lane.usd_per_month / 30 / (SAGEMAKER_USD_PER_HOUR["ml.g6.xlarge"] / 3600)
    machines = max(1, -(-images * 2 // DAY))
    assert images * 2 - 1 <= seconds <= machines * DAY + 1


def test_more_work_than_the_machines_can_do_is_told() -> None:
    with pytest.raises(UnknownPriceError, match="more than 4 machines"):
        estimate(200_000, seconds=2)


def with_lanes(images: int = 1_000, **shares: int) -> dict[Lane, LaneCost]:
    """A stage with every lane; shares in per cent."""
    lanes = Lanes(
        function=LambdaLane(memory_mb=2_048, architecture=Architecture.ARM64),
        realtime=RealtimeLane(instance_type="ml.g6.xlarge", min_instances=2, max_pixel_steps=1),
        serverless=ServerlessLane(memory_mb=3_072),
    )
    load = Load(
        images_per_day=images,
        seconds_per_image=2,
        bursts_per_day=1,
        shares={Lane(name): share for name, share in shares.items()},
    )
    cost = stage_cost(dataclasses.replace(stage_config("dev"), lanes=lanes), load, Assumptions())
    total = sum(lane.usd_per_month for lane in cost.lanes)
    services = cost.services_usd_per_image * images * 30 + cost.standing_usd_per_month
    assert cost.usd_per_month == pytest.approx(total + services)
    return {lane.lane: lane for lane in cost.lanes}


def test_every_lane_has_its_price_of_a_picture_and_what_it_costs_idle() -> None:
    lanes = with_lanes()
    assert list(lanes) == [Lane.ASYNC, Lane.REALTIME, Lane.LAMBDA, Lane.SERVERLESS]
    assert lanes[Lane.SERVERLESS].machine_usd_per_image == pytest.approx(2 * 0.00006)
    function = function_price(LambdaArchitecture.ARM64, 2_048)
    assert lanes[Lane.LAMBDA].machine_usd_per_image == pytest.approx(function.usd(2))
    for lane in (Lane.LAMBDA, Lane.SERVERLESS):
        assert lanes[lane].usd_per_month == 0
    hourly = SAGEMAKER_USD_PER_HOUR["ml.g6.xlarge"]
    assert lanes[Lane.REALTIME].idle_usd_per_month == pytest.approx(2 * 24 * 30 * hourly)
    assert lanes[Lane.ASYNC].images_per_month == 30_000


def test_shares_move_pictures_and_a_standing_machine_costs_no_more_for_them() -> None:
    before, after = with_lanes(), with_lanes(**{"lambda": 30, "realtime": 50})
    assert after[Lane.LAMBDA].images_per_month == pytest.approx(9_000)
    assert after[Lane.ASYNC].images_per_month == pytest.approx(6_000)
    assert after[Lane.LAMBDA].idle_usd_per_month == 0
    standing = (before[Lane.REALTIME].usd_per_month, after[Lane.REALTIME].usd_per_month)
    assert standing[0] == pytest.approx(standing[1])


@pytest.mark.parametrize("shares", [{"lambda": 101}, {"lambda": 60, "realtime": 41}, {"async": 1}])
def test_shares_that_do_not_add_up_are_told(shares: dict[str, int]) -> None:
    with pytest.raises(WrongShareError):
        with_lanes(**shares)


def test_a_real_time_endpoint_that_is_too_small_is_told() -> None:
    with pytest.raises(UnknownPriceError, match="lane realtime"):
        with_lanes(100_000, realtime=100)


def test_a_share_of_a_lane_that_is_not_there_is_told() -> None:
    result = CliRunner().invoke(app, ["cost", "--stage", "dev", "--share", "lambda=10"])
    assert isinstance(result.exception, WrongShareError)
    assert "no lane lambda" in str(result.exception)


def test_the_local_stages_function_has_its_rows() -> None:
    arguments = ["cost", "--stage", "local", "--share", "lambda=25"]
    output = CliRunner().invoke(app, arguments).output
    assert "function lane, Lambda, 4096 MB, x86_64: work" in output
    assert "Assumed share of the function lane: 25 %" in output


@pytest.mark.parametrize("text", ["lambda", "lambda=x", "lambda=-1", "gpu=3", "=3"])
def test_a_share_that_is_none_is_told(text: str) -> None:
    with pytest.raises(WrongShareError, match="LANE=PER_CENT"):
        read_shares([text])


def test_a_lane_has_one_share() -> None:
    assert read_shares(["lambda=3", "realtime=4"]) == {Lane.LAMBDA: 3, Lane.REALTIME: 4}
    with pytest.raises(WrongShareError):
        read_shares(["lambda=3", "lambda=4"])


def test_a_machine_without_a_price_is_told() -> None:
    config = stage_config("dev")
    capacity = dataclasses.replace(config.capacity, instance_type="ml.unheard.of")
    load = Load(images_per_day=1, seconds_per_image=1, bursts_per_day=1)
    with pytest.raises(UnknownPriceError, match=r"ml\.unheard\.of"):
        stage_cost(dataclasses.replace(config, capacity=capacity), load, Assumptions())


def test_a_model_that_was_not_measured_needs_its_seconds() -> None:
    assert measured_seconds("emoji-64") > 0
    with pytest.raises(UnknownPriceError, match="--seconds-per-image"):
        measured_seconds("sd15")


def test_the_page_is_what_the_commands_say() -> None:
    pattern = r"^## `cost ([^`]+)`\n\n(.+?)\n*(?=^## |\Z)"
    sections = re.findall(pattern, PAGE.read_text(), re.M | re.S)
    assert len(sections) == 2
    for arguments, table in sections:
        result = CliRunner().invoke(app, ["cost", *shlex.split(arguments), "--markdown"])
        assert result.exit_code == 0
        assert result.output.strip() == table.strip()


@pytest.mark.parametrize("command", ["redrive", "stop", "resume", "cost", "train"])
def test_every_command_teaches(command: str) -> None:
    text = CliRunner().invoke(app, [command, "--help"]).output
    assert "--stage" in text
    assert len(text.splitlines()) > 5


def test_a_quantised_model_costs_its_machines_time_and_is_in_no_sum() -> None:
    cost = estimate(0, stage="dev")
    hourly = SAGEMAKER_USD_PER_HOUR[stage_config("dev").quantization.instance_type]
    assert cost.quantization_usd == pytest.approx(hourly / 2)
    assert cost.usd_per_month == cost.standing_usd_per_month

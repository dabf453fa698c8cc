import dataclasses
import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from infra.stages import stage_config
from nvfp4_ddim_contracts.pricing import SAGEMAKER_USD_PER_HOUR
from operations.cli import app
from operations.costs import Assumptions, Load, StageCost, measured_seconds, stage_cost
from operations.errors import UnknownPriceError

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
    work = lane.usd_per_month - lane.idle_usd_per_month
    assert work == pytest.approx(hourly * 2 / 3600 * 500 * 30)


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

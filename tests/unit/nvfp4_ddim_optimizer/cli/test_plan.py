import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nvfp4_ddim_optimizer.cli.app import app
from nvfp4_ddim_optimizer.cli.options import parse_memory
from nvfp4_ddim_optimizer.cli.runtime import ExitCode
from nvfp4_ddim_optimizer.errors import InvalidInputError

MODEL = "emoji-64"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def report(*arguments: object) -> dict[str, Any]:
    result = run("plan", MODEL, "--json", *arguments)
    parsed: dict[str, Any] = json.loads(result.stdout)
    assert parsed["fits"] == (result.exit_code == ExitCode.OK)
    return parsed


def test_says_what_fits_and_how_long_it_takes() -> None:
    result = run("plan", MODEL, "--memory", "4GB")
    assert result.exit_code == ExitCode.OK, result.output
    for word in ("--low-memory", "64×64", "20 steps", "4.00 GB", "generate chooses"):
        assert word in result.stdout


def test_chooses_the_fastest_way_that_fits() -> None:
    roomy = report("--memory", "4GB")
    assert [way["chosen"] for way in roomy["ways"]] == [True, False, False]
    assert (roomy["height"], roomy["width"], roomy["num_inference_steps"]) == (64, 64, 20)
    tight = report("--memory", roomy["ways"][0]["peak_bytes"])
    assert [way["chosen"] for way in tight["ways"]] == [False, True, False]
    assert tight["available_bytes"] == roomy["ways"][0]["peak_bytes"]


def test_ends_with_a_code_of_its_own_where_nothing_fits() -> None:
    refused = report("--memory", "100MB")
    assert not any(way["fits"] or way["chosen"] for way in refused["ways"])
    assert refused["ways"][0]["largest_square"] == 0
    result = run("plan", MODEL, "--height", 8192, "--width", 8192, "--memory", "2GiB")
    assert result.exit_code == ExitCode.HARDWARE
    assert "nothing fits" in result.stdout


def test_larger_pictures_and_more_steps_take_more() -> None:
    here = report()
    larger = report("--height", 128, "--width", 128, "--steps", 40, "-p", "quality")
    assert larger["num_inference_steps"] == 40
    assert larger["seconds"] > here["seconds"] > 0
    assert larger["seconds_per_step"] > here["seconds_per_step"]
    assert larger["ways"][0]["peak_bytes"] > here["ways"][0]["peak_bytes"]


def test_generate_refuses_before_it_paints(tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    result = run("generate", "x", "--memory", "2GB", "--size", 8192, "-o", out)
    assert result.exit_code == ExitCode.HARDWARE
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4GB", 4 * 10**9),
        ("4 gib", 4 * 2**30),
        ("1.5G", 15 * 10**8),
        ("800MB", 8 * 10**8),
        ("12", 12),
        (None, None),
    ],
)
def test_reads_sizes(text: str | None, count: int | None) -> None:
    assert parse_memory(text) == count


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "4 apples", "1e9"])
def test_refuses_what_is_no_size(text: str) -> None:
    with pytest.raises(InvalidInputError, match="--memory"):
        parse_memory(text)

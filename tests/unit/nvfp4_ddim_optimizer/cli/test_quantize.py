"""`nvfp4-ddim quantize`: what decides how weights are quantised, and what can't be asked for."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nvfp4_ddim_optimizer.cli.app import app
from nvfp4_ddim_optimizer.cli.quantize import _parse_size
from nvfp4_ddim_optimizer.cli.runtime import ExitCode
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.presets import get_preset

Directory = Callable[[str], Path]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["quantize", *(str(argument) for argument in arguments)])


@pytest.mark.parametrize(
    ("options", "quantization"),
    [
        ([], get_preset("balanced").quantization.model_dump(mode="json")),
        (["--effort", "quality"], get_preset("quality").quantization.model_dump(mode="json")),
        (["--effort", "fast"], {"method": "data-free", "scale_search": "four-over-six"}),
        (["--search", "absmax"], {"method": "data-free", "scale_search": "absmax"}),
        (["--lambda", "0.02"], {"method": "rate-distortion", "rate_weight": 0.02}),
    ],
)
def test_the_manifest_says_how_it_was_quantised(
    options: list[str],
    quantization: dict[str, object],
    tiny_directory: Directory,
    tmp_path: Path,
) -> None:
    result = run(tiny_directory("taesd"), tmp_path / "out", *options, "--json")
    assert result.exit_code == ExitCode.OK, result.output
    assert json.loads(result.stdout)["quantization"] == quantization


def test_a_target_is_met(tiny_directory: Directory, tmp_path: Path) -> None:
    free = run(tiny_directory("sd1"), tmp_path / "free", "--lambda", "0.03", "--json")
    size = json.loads(free.stdout)["artifact_bytes"]
    result = run(tiny_directory("sd1"), tmp_path / "out", "--target-bytes", f"{size}B", "--json")
    assert result.exit_code == ExitCode.OK, result.output
    assert json.loads(result.stdout)["artifact_bytes"] <= size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lambda", "0.01", "--search", "sweep"], "two methods"),
        (["--lambda", "0.01", "--target-bytes", "1GB"], "find --lambda"),
        (["--effort", "fast", "--target-bits", "4"], "find --lambda"),
        (["--target-bytes", "a lot"], "as a size"),
        (["--target-bytes", "1GB", "--target-bits", "4"], "one positive number"),
        (["--target-bytes", "1kB"], "can't take less"),
        (["--target-bytes", "1GB", "--storage", "plain"], "dense"),
        (["--lambda", "-1"], "--lambda"),
    ],
)
def test_what_contradicts_itself_is_refused(
    options: list[str], message: str, tiny_directory: Directory, tmp_path: Path
) -> None:
    result = run(tiny_directory("taesd"), tmp_path / "out", *options)
    assert result.exit_code == ExitCode.USAGE, result.output
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("650MB", 650_000_000),
        ("0.6 GB", 600_000_000),
        ("600MiB", 600 * 2**20),
        ("1k", 1000),
        ("123", 123),
        ("4.3e8", 430_000_000),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert _parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "1 parsec", "1MBit"])
def test_other_words_are_no_sizes(text: str) -> None:
    with pytest.raises(InvalidInputError, match="size"):
        _parse_size(text)

"""`nvfp4-ddim analyze` with the bundled model."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from nvfp4_ddim_optimizer.cli.app import app
from nvfp4_ddim_optimizer.cli.runtime import ExitCode

INPUTS = Path(__file__).parents[4] / "examples" / "inputs"
LATE, EARLY = INPUTS / "potato_late_blight.jpg", INPUTS / "potato_early_blight.jpg"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["analyze", *map(str, arguments)])


def test_a_report_for_people() -> None:
    result = run(LATE, "--steps", 4)
    assert result.exit_code == ExitCode.OK, result.output
    assert "late blight" in result.stdout
    assert "local adviser" in " ".join(result.stdout.split())


def test_files_and_json_lines(tmp_path: Path) -> None:
    result = run(LATE, EARLY, "--steps", 4, "--json", "--output", tmp_path)
    assert result.exit_code == ExitCode.OK, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["report"]["finding"] for line in lines] == ["late_blight", "early_blight"]
    assert {path.name for path in tmp_path.iterdir()} == {
        f"potato_{name}_blight.{suffix}"
        for name in ("late", "early")
        for suffix in ("heat_map.png", "overlay.png", "report.json")
    }
    stored = json.loads((tmp_path / "potato_late_blight.report.json").read_text())
    assert stored == lines[0]["report"]


def test_a_page_of_nothing_gets_no_answer(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "white").save(tmp_path / "page.png")
    result = run(tmp_path / "page.png", "--method", "fast", "--json")
    assert json.loads(result.stdout)["report"]["finding"] == "not_sure"


def test_a_foreign_file_is_wrong_usage(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    result = run(path)
    assert result.exit_code == ExitCode.USAGE
    assert "JPEG" in result.output


def test_reports_do_not_overwrite_each_other(tmp_path: Path) -> None:
    twin = tmp_path / LATE.name
    twin.write_bytes(LATE.read_bytes())
    result = run(LATE, twin, "--output", tmp_path / "out")
    assert result.exit_code == ExitCode.USAGE
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [("--method", "guess"), ("--least-probability", "2")])
def test_wrong_options(arguments: tuple[str, str]) -> None:
    assert run(LATE, *arguments).exit_code == ExitCode.USAGE

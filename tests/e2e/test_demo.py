"""What `make demo` does, as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from local.deploy import Deployment
from tests.e2e.conftest import PROJECT

pytestmark = pytest.mark.e2e


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )


def demo(environment: dict[str, str], out: Path, *arguments: str) -> dict[str, Any]:
    finished = run(environment, "demo", "--json", "--preset", "fast", "--out", str(out), *arguments)
    assert finished.returncode == 0, finished.stderr
    document: dict[str, Any] = json.loads(finished.stdout)
    return document


def test_a_prompt_becomes_a_picture_and_the_same_seed_the_same_bytes(
    deployment: Deployment, cli_environment: dict[str, str], tmp_path: Path
) -> None:
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    arguments = ("--prompt", "red heart", "--seed", "7")
    summary = demo(cli_environment, first, *arguments)
    assert demo(cli_environment, second, *arguments)["path"] == str(second)
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as picture:
        assert picture.size == (64, 64)
        assert len(picture.convert("RGB").getcolors(64 * 64) or []) > 16
    provenance = summary["job"]["provenance"]
    assert provenance["num_inference_steps"] == 10
    assert provenance["seed"] == 7
    assert len(provenance["artifact_sha256"]) == 64
    seconds = summary["seconds"]
    assert seconds["generate"] <= seconds["prompt to image"] <= seconds["in all"]
    # Nothing changed: neither synthesis nor deployment ran again.
    assert not {"synth", "bootstrap", "deploy", "start the cloud"} & set(seconds)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--preset", "magic"), "magic"),
        (("--prompt", "x" * 10_000), "at most 2000 characters"),
    ],
)
def test_wrong_usage_is_explained(
    cli_environment: dict[str, str], arguments: tuple[str, ...], words: str
) -> None:
    finished = run(cli_environment, "demo", *arguments)
    assert finished.returncode == 2
    assert words in finished.stderr


def test_status_says_that_it_runs(deployment: Deployment, cli_environment: dict[str, str]) -> None:
    finished = run(cli_environment, "status")
    assert finished.returncode == 0
    assert deployment.api_url in finished.stderr

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nvfp4_ddim_jobs.errors import UsageError
from nvfp4_ddim_jobs.folders import ROOT_VARIABLE
from nvfp4_ddim_jobs.training import TRAINABLE, command_line, read_hyperparameters

PROJECT = Path(__file__).resolve().parents[3]
MODEL = Path("/opt/ml/model")
DATA = Path("/opt/ml/input/data/data")


def test_channels_and_hyperparameters_become_options() -> None:
    line = command_line(
        {
            "module": "training.diffusion",
            "until": "20m",
            "data": "channel:data/emoji_64.npz",
            "text": "channel:text",
            "resume": "true",
            "quiet": "false",
        },
        {"data": DATA, "text": Path("/t"), "vae": Path("/v")},
        MODEL,
    )
    assert line[0] == "training.diffusion"
    assert set(line[1:]) == {
        "--until=20m",
        f"--data={DATA}/emoji_64.npz",
        "--text=/t",
        "--resume",
        "--vae=/v",
        "--run=/opt/ml/model",
    }


def test_a_script_that_writes_a_file_gets_a_place_for_it() -> None:
    line = command_line({"module": "training.rough"}, {}, MODEL)
    assert line == ("training.rough", "--output=/opt/ml/model/rough.pt")
    line = command_line({"module": "training.rough", "output": "model:a/b.pt"}, {}, MODEL)
    assert line == ("training.rough", "--output=/opt/ml/model/a/b.pt")


@pytest.mark.parametrize(
    ("hyperparameters", "words"),
    [
        ({}, "choose one of"),
        ({"module": "os"}, "choose one of"),
        ({"module": "training.autoencoder"}, "finetune, train"),
        ({"module": "training.autoencoder", "command": "rm"}, "finetune, train"),
        ({"module": "training.text", "command": "train"}, "no command"),
        ({"module": "training.text", "data": "channel:none/x"}, "no channel"),
        ({"module": "training.text", "data": "channel:data/../../x"}, "leaves"),
        ({"module": "training.text", "run": "model:/etc"}, "leaves"),
        ({"module": "training.text", "run x": "1"}, "no names of options"),
        ({"module": "training.text", "-c": "1"}, "no names of options"),
    ],
)
def test_what_is_not_allowed_is_refused(hyperparameters: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        command_line(hyperparameters, {"data": DATA}, MODEL)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"until": '"20m"', "seed": "3"}, {"until": "20m", "seed": "3"}),
        ({"seed": 3, "resume": True}, {"seed": "3", "resume": "true"}),
        ({"sagemaker_region": "x", "a": "x"}, {"a": "x"}),
    ],
)
def test_hyperparameters_come_as_text_or_as_the_sdk_writes_them(
    tmp_path: Path, written: dict[str, Any], read: dict[str, str]
) -> None:
    path = tmp_path / "input" / "config" / "hyperparameters.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(written))
    assert read_hyperparameters(tmp_path, {}) == read
    assert read_hyperparameters(Path("/none"), {"SM_HPS": json.dumps(written)}) == read


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_hyperparameters_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        read_hyperparameters(tmp_path, {"SM_HPS": text})


def _is_command(function: ast.FunctionDef) -> bool:
    """Decorated for typer, or the one that `typer.run` gets."""
    decorated = any("app.command" in ast.unparse(each) for each in function.decorator_list)
    return decorated or function.name == "main"


@pytest.mark.parametrize("module", TRAINABLE)
def test_every_script_has_the_options_that_jobs_use(module: str) -> None:
    tree = ast.parse((PROJECT / f"{module.replace('.', '/')}.py").read_text())
    commands = {
        node.name: [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)]
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and _is_command(node)
    }
    assert commands
    script = TRAINABLE[module]
    assert set(script.commands) == (set(commands) if len(commands) > 1 else set())
    assert all(script.output in arguments for arguments in commands.values())


def test_a_job_trains_and_one_that_cannot_says_why(tmp_path: Path) -> None:
    def run(**hyperparameters: str) -> subprocess.CompletedProcess[str]:
        config = tmp_path / "input" / "config"
        config.mkdir(parents=True, exist_ok=True)
        (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
        return subprocess.run(
            [sys.executable, "-m", "nvfp4_ddim_jobs", "train"],
            env={
                **os.environ,
                ROOT_VARIABLE: str(tmp_path),
                "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "inference")]),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    failed = run(module="training.tokenizer", data="channel:none")
    assert failed.returncode == 1
    assert "no channel 'none'" in (tmp_path / "output" / "failure").read_text()
    (tmp_path / "input" / "data" / "data").mkdir(parents=True)
    broken = run(module="training.tokenizer", data="channel:data/none.npz")
    assert broken.returncode == 1
    assert "ended with" in (tmp_path / "output" / "failure").read_text()

"""Training jobs: SageMaker's channels and hyperparameters become a training script's command line.

The hyperparameter `module` names the script, `command` its subcommand where it has any. Every other
one is an option: `until = 20m` becomes `--until 20m`. A value `channel:data/emoji_64.npz` is a file
of the channel `data`, `model:unet` one below the folder that is uploaded at the end. A channel that
no value mentions becomes an option of its own name, with its folder.

Source: Amazon SageMaker AI developer guide, "How Amazon SageMaker AI provides training
information"; its training toolkit's names of variables.
"""

import json
import logging
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import UsageError

__all__ = ["TRAINABLE", "Script", "command_line", "read_hyperparameters", "run_training"]

logger = logging.getLogger(__name__)

_OPTION = re.compile(r"[a-z][a-z0-9-]{0,63}")
_RESERVED = frozenset({"module", "command"})
_CHANNEL_PREFIX, _MODEL_PREFIX = "channel:", "model:"
_SAGEMAKERS_OWN = "sagemaker_"


@dataclass(frozen=True)
class Script:
    """A script that may run as a job.

    Attributes:
        output: Its option that says where results go.
        file: Name of the one file that it writes; None for a folder.
        commands: Its subcommands, one of which has to be chosen; none where there are none.
    """

    output: str
    file: str | None = None
    commands: tuple[str, ...] = ()


TRAINABLE: Mapping[str, Script] = {
    "training.analyze.train": Script("run"),
    "training.autoencoder": Script("run", commands=("finetune", "train")),
    "training.calibration_prompts": Script("output", file="prompts.txt"),
    "training.compress.codec": Script("run"),
    "training.compress.export": Script("output"),
    "training.compress.refiner": Script("run"),
    "training.compress.warm_up": Script("run"),
    "training.diffusion": Script("run"),
    "training.export": Script("output"),
    "training.interpolate.diffusion": Script("run"),
    "training.interpolate.regression": Script("run"),
    "training.rough": Script("output", file="rough.pt"),
    "training.segment.mask_autoencoder": Script("run"),
    "training.segment.train": Script("run"),
    "training.text": Script("run"),
    "training.tokenizer": Script("output"),
}
"""Nothing else is ever run: a hyperparameter is a caller's text."""


def run_training(root: Path, environment: Mapping[str, str]) -> int:
    """Run the script that the hyperparameters name, in a process of its own.

    Args:
        root: `/opt/ml`.
        environment: Where `SM_MODEL_DIR` and `SM_CHANNEL_<NAME>` may say that folders lie
            elsewhere.

    Returns:
        The script's exit code.

    Raises:
        UsageError: There is no such script, or an option or a channel that is none.
    """
    model = Path(environment.get("SM_MODEL_DIR") or root / "model")
    model.mkdir(parents=True, exist_ok=True)
    command = command_line(
        read_hyperparameters(root, environment), _channels(root, environment), model
    )
    logger.info("training", extra={"fields": {"command": list(command)}})
    process = subprocess.Popen([sys.executable, "-m", *command])  # noqa: S603 - from the allow-list
    # SageMaker's stop: the script gets its chance to end well.
    signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
    return process.wait()


def read_hyperparameters(root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The hyperparameters of the job, as text.

    Raises:
        UsageError: They are no JSON object.
    """
    path = root / "input" / "config" / "hyperparameters.json"
    try:
        text = environment.get("SM_HPS") or path.read_text()
        found: Any = json.loads(text)
        return {
            name: _text(value)
            for name, value in found.items()
            if not name.startswith(_SAGEMAKERS_OWN)
        }
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"The hyperparameters can't be read: {error}") from error


def command_line(
    hyperparameters: Mapping[str, str], channels: Mapping[str, Path], model: Path
) -> tuple[str, ...]:
    """What follows `python -m`.

    Args:
        hyperparameters: By name, without the dashes.
        channels: Folders of input, by channel.
        model: Folder that is uploaded at the end.

    Raises:
        UsageError: There is no such script, or an option or a channel that is none.
    """
    module = hyperparameters.get("module", "")
    script = TRAINABLE.get(module)
    if script is None:
        raise UsageError(
            f"The hyperparameter module is {module!r}; choose one of {', '.join(TRAINABLE)}."
        )
    options = {
        name: _value(value, channels, model)
        for name, value in hyperparameters.items()
        if name not in _RESERVED
    }
    mentioned = {
        value.removeprefix(_CHANNEL_PREFIX).partition("/")[0]
        for value in hyperparameters.values()
        if value.startswith(_CHANNEL_PREFIX)
    }
    for name, folder in channels.items():
        if name not in mentioned:
            options.setdefault(name, str(folder))
    options.setdefault(script.output, str(model / script.file if script.file else model))
    wrong = sorted(name for name in options if not _OPTION.fullmatch(name))
    if wrong:
        raise UsageError(f"These are no names of options: {', '.join(wrong)}.")
    arguments = [part for name, value in options.items() for part in _argument(name, value)]
    return (module, *_command(script, hyperparameters.get("command")), *arguments)


def _command(script: Script, command: str | None) -> Sequence[str]:
    if script.commands and command not in script.commands:
        raise UsageError(
            f"The hyperparameter command is {command!r}; choose one of "
            f"{', '.join(script.commands)}."
        )
    if not script.commands and command is not None:
        raise UsageError(f"This script has no command {command!r}.")
    return [command] if command is not None else []


def _argument(name: str, value: str) -> Sequence[str]:
    """An option; a switch that is on has no value, and one that is off is left out."""
    if value in {"true", "false"}:
        return [f"--{name}"] if value == "true" else []
    return [f"--{name}={value}"]


def _value(value: str, channels: Mapping[str, Path], model: Path) -> str:
    if value.startswith(_CHANNEL_PREFIX):
        channel, _, rest = value.removeprefix(_CHANNEL_PREFIX).partition("/")
        if channel not in channels:
            known = ", ".join(channels) or "none"
            raise UsageError(f"There is no channel {channel!r}; there are: {known}.")
        return str(_below(channels[channel], rest))
    if value.startswith(_MODEL_PREFIX):
        return str(_below(model, value.removeprefix(_MODEL_PREFIX)))
    return value


def _below(folder: Path, relative: str) -> Path:
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts:
        raise UsageError(f"{relative!r} leaves its folder.")
    return folder / path


def _channels(root: Path, environment: Mapping[str, str]) -> dict[str, Path]:
    data = root / "input" / "data"
    found = {path.name: path for path in sorted(data.glob("*")) if path.is_dir()}
    for variable, folder in environment.items():
        if variable.startswith("SM_CHANNEL_"):
            found[variable.removeprefix("SM_CHANNEL_").lower().replace("_", "-")] = Path(folder)
    return found


def _text(value: object) -> str:
    """A hyperparameter's text. SageMaker's SDK writes some of them as JSON: "20m" in quotes."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        decoded = json.loads(value)
    except ValueError:
        return value
    return decoded if isinstance(decoded, str) else value

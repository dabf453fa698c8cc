"""How fast this machine works, measured once and remembered, and what follows for a picture."""

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from nvfp4_ddim_contracts import ScaleSearch
from nvfp4_ddim_optimizer.artifacts import default_cache_directory
from nvfp4_ddim_optimizer.footprint import Footprint, Picture, Work
from nvfp4_ddim_optimizer.machine import Machine
from nvfp4_ddim_optimizer.nn import NVFP4Conv2d, NVFP4Linear, attend, convolve_by_winograd
from nvfp4_ddim_optimizer.shortcuts import Shortcuts

__all__ = ["MachineSpeed", "measure_speed", "predict_seconds"]

_LOGGER = logging.getLogger(__name__)
_MEASURED_SECONDS = 0.4
# Norms, activations and copies between the layers that are counted.
_BETWEEN_LAYERS = 1.15
# A step on cached features, as a part of a whole one: docs/benchmarks, topic "operations".
_CACHED_STEP = 0.17


@dataclass(frozen=True)
class MachineSpeed:
    """Floating-point operations a second that typical layers of a diffusion model reach.

    Attributes:
        convolution: A 3 x 3 NVFP4 convolution.
        linear: An NVFP4 linear layer.
        attention: Self-attention.
        plain_convolution: A 3 x 3 convolution of the autoencoder.
    """

    convolution: float
    linear: float
    attention: float
    plain_convolution: float


def measure_speed(machine: Machine, cache: Path | None = None) -> MachineSpeed:
    """Measure, or read what was measured before on the same machine with the same versions.

    Args:
        machine: This machine.
        cache: File to remember it in; beside the cache of artifacts if None.
    """
    path = cache or default_cache_directory().with_name("speed.json")
    key = _identity(machine)
    remembered = _read(path)
    if key in remembered:
        try:
            return MachineSpeed(**remembered[key])
        except TypeError:
            _LOGGER.debug("%s is of another version", path)
    speed = _measure()
    _write(path, remembered | {key: asdict(speed)})
    return speed


def predict_seconds(
    footprint: Footprint,
    speed: MachineSpeed,
    picture: Picture,
    *,
    steps: int,
    shortcuts: Shortcuts | None = None,
) -> tuple[float, float]:
    """Predict how long painting takes on a CPU.

    Args:
        footprint: The model.
        speed: The machine.
        picture: What is painted; `passes` is 1 without guidance.
        steps: DDIM steps.
        shortcuts: Operations that are left out.

    Returns:
        (seconds of a whole step, seconds altogether), model loading left out.
    """
    shortcuts = shortcuts or Shortcuts()
    pixels, batch = picture.pixels, picture.batch
    call = batch * _seconds(footprint.unet_call, pixels, speed, speed.convolution)
    start, stop = (int(part * steps) for part in shortcuts.guidance_interval)
    passes = steps + (picture.passes - 1) * (stop - start)
    whole = -(-steps // shortcuts.cache_interval) / steps
    work = passes * (whole + (1 - whole) * _CACHED_STEP)
    decoding = batch * _seconds(footprint.decoding, pixels, speed, speed.plain_convolution)
    return call * picture.passes, call * work + decoding


def _seconds(work: Work, pixels: int, speed: MachineSpeed, convolution: float) -> float:
    """One call for one picture: tokens attend to each other, so that part grows squared."""
    scale = pixels / work.pixels
    seconds = scale * (work.convolution_flops / convolution + work.linear_flops / speed.linear)
    attention = scale**2 * work.self_attention_flops + scale * work.cross_attention_flops
    return _BETWEEN_LAYERS * (seconds + attention / speed.attention)


@torch.inference_mode()
def _measure() -> MachineSpeed:
    """Time layers of shapes from the middle of a Stable Diffusion UNet and decoder."""
    convolution = nn.Conv2d(640, 640, 3, padding=1)
    linear = nn.Linear(1280, 1280)
    plain = nn.Conv2d(256, 256, 3, padding=1)
    plain.weight.data = plain.weight.contiguous(memory_format=torch.channels_last)
    convolve_by_winograd(plain)
    quantised = NVFP4Conv2d.from_float(convolution, ScaleSearch.ABSMAX)
    quantised_linear = NVFP4Linear.from_float(linear, ScaleSearch.ABSMAX)
    x = torch.randn(2, 640, 32, 32).contiguous(memory_format=torch.channels_last)
    tokens = torch.randn(1024, 1280)
    picture = torch.randn(1, 256, 64, 128).contiguous(memory_format=torch.channels_last)
    heads = torch.randn(1, 8, 2048, 64)
    return MachineSpeed(
        convolution=2 * 9 * 640 * 640 * 2 * 32 * 32 / _time(lambda: quantised(x)),
        linear=2 * 1280 * 1280 * 1024 / _time(lambda: quantised_linear(tokens)),
        attention=4 * 8 * 2048 * 2048 * 64 / _time(lambda: attend(heads, heads, heads)),
        plain_convolution=2 * 9 * 256 * 256 * 64 * 128 / _time(lambda: plain(picture)),
    )


def _time(run: Callable[[], object]) -> float:
    """Seconds of the quickest of several runs, after one to warm up.

    The processor's own time is taken, shared out among the threads: what is remembered must not
    depend on what else the machine is doing at the moment.
    """
    run()
    best, begin = float("inf"), time.perf_counter()
    while time.perf_counter() - begin < _MEASURED_SECONDS:
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best / torch.get_num_threads()


def _identity(machine: Machine) -> str:
    parts = (
        machine.architecture,
        ",".join(sorted(machine.instruction_sets)),
        str(torch.get_num_threads()),
        torch.__version__,
        version("nvfp4-ddim-optimizer"),
    )
    return " ".join(parts)


def _read(path: Path) -> dict[str, dict[str, float]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, content: dict[str, dict[str, float]]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        _LOGGER.warning("what was measured is not kept: %s", error)

"""What the weights of published UNets take in an artifact, and what that costs in error.

    python -m benchmarks.storage [sd15] [sd21] [sdxl] [curves] [command] [--sd15 DIRECTORY]

Weights are Gaussian random numbers in the shapes of the published models: nothing is harder to
compress or to quantise at a given size. The bundled model's own trained weights stand beside them.
Every layer is made, quantised and stored in turn, with the settings of the preset "balanced".
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nvfp4_ddim_contracts import DataFree, Quantization, RateDistortion, ScaleSearch, WeightStorage
from nvfp4_ddim_optimizer.artifacts import WeightsWriter
from nvfp4_ddim_optimizer.nn import LayerPolicy, plan_layers
from nvfp4_ddim_optimizer.nvfp4 import dequantize, quantizer_for
from nvfp4_ddim_optimizer.presets import get_preset
from nvfp4_ddim_optimizer.streaming import open_component

from .architectures import empty_unet, random_tensor, write_model
from .claims import DOCS, Claim, write_claims

__all__ = ["main"]

COMMAND = "python -m benchmarks.storage"
_GOAL_BYTES = 429.8e6
_GOAL_ERROR = 0.0080
_GOAL_SECONDS = 1200.0
_GOAL_RSS = 2e9
_NAMES = {"sd15": "Stable Diffusion 1.5", "sd21": "Stable Diffusion 2.1", "sdxl": "SDXL"}
_LADDER = (0.0, 0.002, 0.004, 0.005, 0.006, 0.007, 0.008, 0.01, 0.014, 0.02)
_RATES = (0.005, 0.007, 0.01)
_SEARCHES = tuple(DataFree(scale_search=search) for search in ScaleSearch)
_EMOJI = Path(__file__).parents[1] / "models" / "emoji-64" / "unet"
# Layers of Stable Diffusion 1.5 for the curve: every kind, 7 million weights.
_SAMPLE = (
    "down_blocks.1.resnets.0.conv1",
    "down_blocks.1.attentions.0.transformer_blocks.0.ff.net.0.proj",
    "down_blocks.2.resnets.0.time_emb_proj",
    "down_blocks.2.attentions.0.proj_in",
)

Layers = Callable[[], Iterator[tuple[str, Tensor, bool]]]
"""Names and tensors of a UNet, and whether each becomes NVFP4."""


@dataclass(frozen=True)
class _Stored:
    """What a UNet takes.

    Attributes:
        bytes: Size of the weights' file.
        quantized_bytes: Of which quantised layers.
        weights: How many weights these have.
        error: Squared error of all of these, relative to their squares.
        seconds: What making, quantising and storing them took.
    """

    bytes: int
    quantized_bytes: int
    weights: int
    error: float
    seconds: float

    @property
    def bits(self) -> float:
        """Stored bits of a quantised weight."""
        return 8 * self.quantized_bytes / self.weights


def _gaussian(name: str, only: tuple[str, ...] = ()) -> Layers:
    """A published UNet with random weights, one tensor at a time."""

    def layers() -> Iterator[tuple[str, Tensor, bool]]:
        module = empty_unet(name)
        plan = plan_layers(module, "unet", LayerPolicy())
        chosen = {f"{layer.name}.weight" for layer in plan if layer.keep_reason is None}
        generator = torch.Generator().manual_seed(0)
        for key, tensor in module.state_dict().items():
            if not only or key.removesuffix(".weight") in only:
                yield key, random_tensor(key, tuple(tensor.shape), generator), key in chosen

    return layers


def _trained() -> Iterator[tuple[str, Tensor, bool]]:
    """The bundled model's UNet in full precision."""
    component = open_component(_EMOJI, "UNet2DConditionModel", LayerPolicy())
    if component is None:
        raise SystemExit(f"{_EMOJI} holds no UNet")
    for planned in component.plan:
        yield f"{planned.name}.weight", component.weight(planned.name), True
    for name, tensor in component.kept():
        yield name, tensor, False


def _store(
    layers: Layers, record: Quantization, storage: WeightStorage = WeightStorage.DENSE
) -> _Stored:
    """Quantise and write a UNet."""
    quantizer = quantizer_for(record)
    start = time.monotonic()
    quantized_bytes = weights = 0
    noise = signal = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "unet.safetensors"
        with WeightsWriter(path, storage) as writer:
            for name, tensor, is_quantized in layers():
                if not is_quantized:
                    writer.add(name, tensor.to(torch.bfloat16))
                    continue
                layer = name.removesuffix(".weight")
                quantized = quantizer.quantize(f"unet.{layer}", tensor)
                quantized_bytes += writer.add_quantized(layer, quantized)
                weights += tensor.numel()
                signal += _squares(tensor)
                noise += _squares(dequantize(quantized).sub_(tensor))
        size = path.stat().st_size
    seconds = time.monotonic() - start
    return _Stored(size, quantized_bytes, weights, noise / signal, seconds)


def _squares(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64)) ** 2


def _whole_unets(names: list[str]) -> Iterator[Claim]:
    record = get_preset("balanced").quantization
    for name in names:
        stored = _store(_gaussian(name), record)
        print(name, stored, flush=True)
        what = f"{_NAMES[name]}'s UNet, {record}, Gaussian weights"
        first = name == "sd15"
        yield Claim(
            f"{name}_unet_bytes",
            stored.bytes,
            "bytes",
            _GOAL_BYTES if first else None,
            "lower",
            f"{what}: the weights' file, headers and unquantised layers included"
            + ("; stretch goal 415e6" if first else ""),
        )
        yield Claim(
            f"{name}_unet_bits_per_weight",
            stored.bits,
            "bits",
            None,
            "lower",
            f"{what}: stored codes and scales of the quantised weights",
        )
        yield Claim(
            f"{name}_unet_weight_rel_mse",
            stored.error,
            "",
            _GOAL_ERROR if first else None,
            "lower",
            f"{what}: |w - quantised w|^2 / |w|^2 over the quantised layers"
            + ("; stretch goal 0.0070" if first else ""),
        )


def _rows(label: str, what: str, layers: Layers) -> Iterator[Claim]:
    """Each search and some rate weights, with and without lossless coding."""
    records: list[Quantization] = [
        *_SEARCHES,
        *(RateDistortion(rate_weight=rate) for rate in _RATES),
    ]
    for record in records:
        kind = (
            str(record.scale_search) if isinstance(record, DataFree) else f"{record.rate_weight:g}"
        )
        name = f"{label}_{'lambda_' if isinstance(record, RateDistortion) else ''}{kind}"
        for storage in WeightStorage:
            stored = _store(layers, record, storage)
            yield Claim(
                f"{name.replace('-', '_')}_{storage}_bits",
                stored.bits,
                "bits",
                None,
                "lower",
                f"{what}, {record}, {storage} storage; relative error {stored.error:.5f}",
            )


def _curve(layers: Layers) -> list[tuple[float, float]]:
    """(bits, error) along the ladder of rate weights."""
    points = [_store(layers, RateDistortion(rate_weight=rate)) for rate in _LADDER]
    return [(point.bits, point.error) for point in points]


def _plot(curves: dict[str, list[tuple[float, float]]], rows: list[Claim]) -> Path:
    from matplotlib.figure import Figure  # an extra of the package

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for label, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
    for claim in rows:
        if "lambda" not in claim.id and claim.id.startswith("gaussian"):
            error = float(claim.note.rpartition(" ")[2])
            search, storage = claim.id.split("_", 1)[1].removesuffix("_bits").rsplit("_", 1)
            axes.plot(claim.value, error, "s" if storage == "dense" else "x", color="0.4")
            axes.annotate(f" {search} {storage}", (claim.value, error), fontsize=7)
    bits = torch.linspace(3.6, 4.5, 50)
    axes.plot(bits, 4.0**-bits, color="0.7", linestyle=":", label="Shannon's bound, Gaussian")
    axes.set(xlabel="stored bits a weight", ylabel="relative squared error", yscale="log")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(fontsize=8)
    path = DOCS / "storage.png"
    figure.savefig(path, dpi=120)
    return path


# Not getrusage's: a process inherits that peak from whoever started it.
_CHILD = """
import json, pathlib, re, sys, time
start = time.monotonic()
from nvfp4_ddim_optimizer.cli import main
try:
    main()
except SystemExit as end:
    if end.code:
        raise
status = pathlib.Path("/proc/self/status").read_text()
peak = 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])
print(json.dumps({"seconds": time.monotonic() - start, "peak_bytes": peak}))
"""


def _command_line(model: Path) -> Iterator[Claim]:
    """Time and memory of `nvfp4-ddim quantize` on a whole model."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _CHILD, "quantize", str(model), f"{folder}/out"]
        result = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    measured = json.loads(result.stdout.splitlines()[-1])
    print(measured, flush=True)
    what = "nvfp4-ddim quantize of Stable Diffusion 1.5 in float32 (4.3 GB), from start to exit"
    yield Claim("quantize_seconds", measured["seconds"], "s", _GOAL_SECONDS, "lower", what)
    yield Claim("quantize_peak_bytes", measured["peak_bytes"], "bytes", _GOAL_RSS, "lower", what)


def _merge(claims: list[Claim]) -> list[Claim]:
    """Claims of parts that were measured before, and these in the place of those of their names."""
    path = DOCS / "storage.json"
    names = {claim.id for claim in claims}
    fields = Claim.__dataclass_fields__.keys()
    before = json.loads(path.read_text()) if path.exists() else []
    kept = [Claim(**{key: old[key] for key in fields}) for old in before if old["id"] not in names]
    return kept + claims


def main() -> None:
    """Measure and write `docs/benchmarks/storage.json` and its plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[*_NAMES, "curves", "command"])
    parser.add_argument("--sd15", type=Path, help="made by benchmarks.architectures if absent")
    arguments = parser.parse_args()
    claims = list(_whole_unets([name for name in _NAMES if name in arguments.parts]))
    if "curves" in arguments.parts:
        sample = _gaussian("sd15", _SAMPLE)
        rows = [
            *_rows("gaussian", "Gaussian weights", sample),
            *_rows("trained", "the bundled emoji-64's UNet, trained", _trained),
        ]
        curves = {
            "Gaussian weights": _curve(sample),
            "trained weights (emoji-64)": _curve(_trained),
        }
        print(_plot(curves, rows), flush=True)
        claims += rows
    if "command" in arguments.parts:
        if arguments.sd15 is not None:
            claims += _command_line(arguments.sd15)
        else:
            with tempfile.TemporaryDirectory() as folder:
                write_model("sd15", Path(folder))
                claims += _command_line(Path(folder))
    print(write_claims("storage", COMMAND, _merge(claims)))


if __name__ == "__main__":
    main()

"""Does the check that ends a quantisation in the cloud tell good artifacts from broken ones?

    python -m benchmarks.quantization_check

Quantises `models/emoji-64` with the job that SageMaker runs, as a process on folders like its own,
with each effort, and repeats the job's comparison with more prompts. Then breaks the model's UNet
in several ways, quantises each, and compares it with the whole original: what artifacts would show
whose layers were lost, scaled or packed wrongly.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nvfp4_ddim_contracts import Preset
from nvfp4_ddim_contracts.incoming import (
    TASK_NAME,
    VALIDATION_NAME,
    QuantizationOrder,
    QuantizationTask,
    QuantizationValidation,
    SourceFile,
)
from nvfp4_ddim_jobs.compare import compare_pictures
from nvfp4_ddim_jobs.compare_weights import LARGEST_ERROR, compare_weights
from nvfp4_ddim_jobs.folders import ROOT_VARIABLE, ProcessingFolders
from nvfp4_ddim_optimizer.presets import get_preset
from nvfp4_ddim_optimizer.sources import locate_full_precision
from nvfp4_ddim_optimizer.streaming import ArtifactDetails, quantize_to_artifact

from .claims import Claim, write_claims

__all__ = ["main"]

MODEL = Path(__file__).parents[1] / "models" / "emoji-64"
PROMPTS = ("red heart", "slice of watermelon", "fox", "grinning face", "pizza", "sun", "rocket")
BROKEN_PROMPTS = PROMPTS[:3]
GUIDANCE = 2.0
_UNET = Path("unet", "diffusion_pytorch_model.safetensors")
_BOUND_DB = QuantizationOrder(license="CC-BY-4.0").min_psnr_db
_DEEP, _LATE = "mid_block.resnets.0.conv1.weight", "up_blocks.1.resnets.1.conv2.weight"

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Damage:
    """One way to break a UNet.

    Attributes:
        id: Part of the claims' ids.
        what: In words.
        inflict: Changes weights in place.
    """

    id: str
    what: str
    inflict: Callable[[Weights], None]


def _matrices(weights: Weights, prefix: str = "") -> list[Tensor]:
    return [w for name, w in weights.items() if w.ndim > 1 and name.startswith(prefix)]


def _halve_block(weights: Weights) -> None:
    weights[_LATE][0, :16, 0, 0] *= 0.5


def _scale(name: str, factor: float) -> Callable[[Weights], None]:
    def inflict(weights: Weights) -> None:
        weights[name] *= factor

    return inflict


def _shift_rows(weights: Weights) -> None:
    weights[_LATE].copy_(weights[_LATE].roll(1, dims=0))


def _halve_part(weights: Weights) -> None:
    for weight in _matrices(weights, "up_blocks.1."):
        weight.mul_(0.5)


def _swap_nibbles(weights: Weights) -> None:
    """As if both codes of a byte were read in the wrong order."""
    for weight in _matrices(weights):
        pairs = weight.unflatten(1, (-1, 2))
        weight.copy_(pairs.flip(2).flatten(1, 2))


def _shuffle(weights: Weights) -> None:
    generator = torch.Generator().manual_seed(0)
    for weight in _matrices(weights):
        order = torch.randperm(weight.numel(), generator=generator)
        weight.copy_(weight.flatten()[order].reshape(weight.shape))


DAMAGES = (
    Damage("one_block_halved", "the scale of one block of 16 weights halved", _halve_block),
    Damage("deep_layer_halved", "all scales of one deep layer halved", _scale(_DEEP, 0.5)),
    Damage("deep_layer_zero", "one deep layer all zero", _scale(_DEEP, 0)),
    Damage("late_layer_halved", "all scales of one late layer halved", _scale(_LATE, 0.5)),
    Damage("late_layer_zero", "one late layer all zero", _scale(_LATE, 0)),
    Damage("late_layer_shifted", "rows of one late layer off by one", _shift_rows),
    Damage("part_halved", "all scales of the last up block halved", _halve_part),
    Damage("nibbles_swapped", "codes swapped in pairs, everywhere", _swap_nibbles),
    Damage("shuffled", "weights in random order, everywhere", _shuffle),
)


def run_job(effort: Preset, folder: Path) -> tuple[QuantizationValidation, Path]:
    """Run the job as a process.

    Args:
        effort: As in an order.
        folder: An empty one, in place of /opt/ml.

    Returns:
        What the job wrote down, and its artifact.

    Raises:
        CalledProcessError: The job failed.
    """
    folders = ProcessingFolders(folder)
    copytree(MODEL, folders.model)
    task = QuantizationTask(
        name=MODEL.name,
        created_at=datetime.now(UTC),
        order=QuantizationOrder(
            license="CC-BY-4.0", effort=effort, guidance_scale=GUIDANCE, prompts=PROMPTS
        ),
        files=tuple(
            SourceFile(path=path.relative_to(MODEL).as_posix(), bytes=path.stat().st_size)
            for path in sorted(MODEL.rglob("*"))
            if path.is_file()
        ),
    )
    folders.task.mkdir(parents=True)
    (folders.task / TASK_NAME).write_text(task.model_dump_json())
    subprocess.run(
        [sys.executable, "-m", "nvfp4_ddim_jobs", "quantize"],
        env={**os.environ, ROOT_VARIABLE: str(folder)},
        check=True,
    )
    text = (folders.output / VALIDATION_NAME).read_bytes()
    return QuantizationValidation.model_validate_json(text), folders.output / "artifact"


def break_and_quantize(damage: Damage, folder: Path) -> Path:
    """An artifact of a broken copy of the model.

    Args:
        damage: How it is broken.
        folder: An empty one.
    """
    broken = folder / "broken"
    copytree(MODEL, broken)
    weights = load_file(broken / _UNET)
    damage.inflict(weights)
    save_file({name: w.contiguous() for name, w in weights.items()}, broken / _UNET)
    artifact = folder / "artifact"
    details = ArtifactDetails(
        name=MODEL.name,
        original_model=damage.id,
        license="CC-BY-4.0",
        attribution="",
        default_guidance_scale=GUIDANCE,
    )
    record = get_preset(Preset.FAST).quantization
    quantize_to_artifact(locate_full_precision(broken), artifact, record, details)
    return artifact


def distances(artifact: Path, prompts: tuple[str, ...]) -> list[float]:
    """PSNR against the original for each prompt, in dB."""
    found = []
    for prompt in prompts:
        comparison = compare_pictures(MODEL, artifact, prompt=prompt, guidance_scale=GUIDANCE)
        found.append(comparison.psnr_db if comparison.is_finite else 0.0)
    return found


def _claims_of(kind: str, what: str, found: list[float], *, is_good: bool) -> list[Claim]:
    count = f"{len(found)} prompts"
    kept = sum(each >= _BOUND_DB for each in found)
    goal, better = (_BOUND_DB, "higher") if is_good else (_BOUND_DB, "lower")
    worst = min(found) if is_good else max(found)
    edge = "farthest" if is_good else "closest"
    group = "Whole models, by effort" if is_good else "Broken models, effort fast"
    return [
        Claim(f"check_median_db_{kind}", statistics.median(found), "dB", None, better, "", group),
        Claim(
            f"check_{edge}_db_{kind}",
            worst,
            "dB",
            goal if is_good or kind in _MUST_FAIL else None,
            better,
            f"{what}; {kept} of {count} pass the bound of {_BOUND_DB:g} dB",
            group,
        ),
    ]


_MUST_FAIL = frozenset({"nibbles_swapped", "shuffled"})
"""What no picture can be right with; smaller damage is measured, not promised."""
_BARELY_DAMAGED = frozenset({"one_block_halved"})


def layer_claim(kind: str, artifact: Path, *, is_good: bool) -> Claim:
    """How far off the farthest layer is, which the job bounds as well."""
    worst = compare_weights(MODEL, artifact)
    if worst is None:
        raise RuntimeError("nothing is quantised")
    print(kind, worst, flush=True)
    return Claim(
        f"check_worst_layer_{kind}",
        worst.error,
        "",
        None if kind in _BARELY_DAMAGED else LARGEST_ERROR,
        "lower" if is_good else "higher",
        f"{worst.name}: squared error over squared weights; above {LARGEST_ERROR:g} is refused",
        "Farthest layer",
    )


def main() -> None:
    """Measure, and write the claims."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    claims = []
    for effort in Preset:
        with tempfile.TemporaryDirectory() as scratch:
            validation, artifact = run_job(effort, Path(scratch))
            print(json.dumps(validation.model_dump(mode="json")), flush=True)
            found = distances(artifact, PROMPTS)
            print(effort, [round(each, 1) for each in found], flush=True)
            what = (
                f"the job itself found {validation.psnr_db:.1f} dB at "
                f"{validation.bits_per_parameter:.2f} bits a parameter"
            )
            claims += _claims_of(effort.value, what, found, is_good=True)
            claims.append(layer_claim(effort.value, artifact, is_good=True))
    for damage in DAMAGES:
        with tempfile.TemporaryDirectory() as scratch:
            broken = break_and_quantize(damage, Path(scratch))
            found = distances(broken, BROKEN_PROMPTS)
            print(damage.id, [round(each, 1) for each in found], flush=True)
            claims += _claims_of(damage.id, damage.what, found, is_good=False)
            claims.append(layer_claim(damage.id, broken, is_good=False))
    write_claims("quantization_check", "python -m benchmarks.quantization_check", claims)


if __name__ == "__main__":
    main()

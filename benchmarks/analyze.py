"""Potato leaves: accuracy, calibration, foreign pictures, severity, time and memory.

Everything is measured on `val/`, which was never trained on, in full precision and in NVFP4, beside
EfficientNet-Lite0 features with logistic regression. DATA is a folder or zip with `train/` and
`val/`, each with `healthy`, `Early_blight` and `Late_blight`; `--foreign` is a folder with pictures
that are no leaves, of which those are used that are there.

Run: python -m benchmarks.analyze --data DATA --foreign FOLDER
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import typer
from PIL import Image
from rich.console import Console

from benchmarks.claims import DOCS, write_claims
from benchmarks.uses.leaf_baseline import fit_baseline
from benchmarks.uses.leaf_claims import Measured, claims_of, tables_of
from benchmarks.uses.leaf_pictures import heat_sheet, reliability_plot
from benchmarks.uses.leaf_runs import fast_run, thorough_run
from benchmarks.uses.leaf_sets import CORRUPTIONS, foreign_pictures
from benchmarks.uses.measured_process import run_measured
from nvfp4_ddim_optimizer.artifacts import load_artifact
from nvfp4_ddim_optimizer.sources import locate_model
from nvfp4_ddim_optimizer.task_files import load_task_model
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.analyze import LeafAnalyzer
from training.analyze.data import CLASSES, Leaves, load_leaves, read_split

__all__ = ["main"]

COMMAND = "python -m benchmarks.analyze --data potato_leaf_128.zip --foreign FOLDER"
STEPS = (10, 20, 50)

Arrays = dict[str, npt.NDArray[Any]]


def _models(full: Path, artifact: str) -> dict[str, TaskModel]:
    index = json.loads((full / "model_index.json").read_text())
    packed = load_artifact(locate_model(artifact).location).pipeline
    return {"full": load_task_model(full, index), "nvfp4": packed}


def _cached(work: Path, name: str, make: Callable[[], Arrays]) -> Arrays:
    """What an earlier, interrupted run has measured."""
    path = work / f"{name}.npz"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=work, suffix=".npz", delete=False) as file:
            np.savez(file, **make())
        Path(file.name).replace(path)
    with np.load(path) as arrays:
        return {key: arrays[key] for key in arrays.files}


def _photos(leaves: Leaves) -> list[Image.Image]:
    return [Image.fromarray(i.permute(1, 2, 0).numpy()) for i in leaves.images]


def _corrupted(photos: list[Image.Image], name: str) -> list[Image.Image]:
    random = np.random.default_rng(sorted(CORRUPTIONS).index(name))
    return [CORRUPTIONS[name](photo, random) for photo in photos]


def _baseline(work: Path, data: Path, photos: list[Image.Image]) -> Arrays:
    def make() -> Arrays:
        train, split = load_leaves(data, "train"), read_split()
        kept = np.array([name in split.validation for name in train.names])
        baseline, penalty = fit_baseline(train.images, train.labels, kept)
        found: Arrays = {"penalty": np.array(penalty)}
        for name in CORRUPTIONS:
            pixels = np.stack([np.asarray(p) for p in _corrupted(photos, name)])
            images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
            found[name] = baseline.probabilities(baseline.features(images))
        return found

    return _cached(work, "baseline", make)


def _fast(work: Path, model: TaskModel, name: str, photos: list[Image.Image]) -> Arrays:
    def make() -> Arrays:
        analyzer, found = LeafAnalyzer(model), {}
        for kind in CORRUPTIONS:
            run = fast_run(analyzer, _corrupted(photos, kind), f"{name}, {kind}")
            found[kind], found[f"unlike_{kind}"] = run.probabilities, run.unlike
        return found

    return _cached(work, f"fast_{name}", make)


def _thorough(
    work: Path, model: TaskModel, name: str, photos: list[Image.Image], steps: int
) -> Arrays:
    def make() -> Arrays:
        run = thorough_run(LeafAnalyzer(model), photos, steps, f"{name}, {steps} levels")
        return {"errors": run.from_errors, "fused": run.fused, "severity": run.severity}

    return _cached(work, f"thorough_{name}_{steps}", make)


def _foreign(work: Path, model: TaskModel, name: str, folder: Path, count: int) -> Arrays:
    def make() -> Arrays:
        analyzer = LeafAnalyzer(model)
        sets = foreign_pictures(folder, count)
        return {k: fast_run(analyzer, p, f"{name}, {k}").unlike for k, p in sets.items()}

    return _cached(work, f"foreign_{name}", make)


def _timing(photo: Image.Image, model: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "leaf.png"
        photo.resize((1024, 1024), Image.Resampling.BICUBIC).save(path)
        command = [sys.executable, "-m", "benchmarks.uses.leaf_timing", str(path), model]
        run = run_measured(command)
    report: dict[str, float] = json.loads(run.output.splitlines()[-1])
    return {**report, "peak_bytes": run.peak_bytes}


def main(
    data: Annotated[Path, typer.Option(help="Folder or zip with train/ and val/.")],
    *,
    foreign: Annotated[Path, typer.Option(help="Folder with pictures that are no leaves.")],
    model: Annotated[Path, typer.Option(help="Full precision.")] = Path("models/potato-leaf-128"),
    artifact: Annotated[str, typer.Option(help="NVFP4: name or directory.")] = "potato-leaf-128",
    foreign_count: Annotated[int, typer.Option(help="The most of each foreign kind.")] = 100,
    sparse: Annotated[
        int, typer.Option(help="50 noise levels are measured on every N-th photo.")
    ] = 1,
    work: Annotated[Path, typer.Option(help="Where an interrupted run goes on.")] = Path(
        "out/analyze"
    ),
    docs: Annotated[Path, typer.Option(help="Where the results go.")] = DOCS,
) -> None:
    """Measure, print the tables, write claims and pictures."""
    leaves = load_leaves(data, "val")
    photos, labels = _photos(leaves), leaves.labels.numpy()
    models = _models(model, artifact)
    chosen = {steps: slice(None, None, sparse if steps == 50 else 1) for steps in STEPS}
    copies = read_split().held_out_copies
    measured = Measured(
        labels=labels,
        classes=CLASSES,
        duplicates=np.array([name in copies for name in leaves.names]),
        fast={name: _fast(work, one, name, photos) for name, one in models.items()},
        foreign={
            name: _foreign(work, one, name, foreign, foreign_count) for name, one in models.items()
        },
        baseline=_baseline(work, data, photos),
        thorough={
            (name, steps): _thorough(work, one, name, photos[part], steps)
            for steps, part in chosen.items()
            for name, one in models.items()
        },
        thorough_labels={steps: labels[part] for steps, part in chosen.items()},
        timing=_timing(photos[0], artifact),
        artifact_bytes=sum(
            path.stat().st_size
            for path in Path(locate_model(artifact).location).rglob("*")
            if path.is_file()
        ),
    )
    for table in tables_of(measured):
        Console().print(table)
    path = write_claims("analyze", COMMAND, claims_of(measured), docs)
    shown = [int(i) for c in (1, 2, 0) for i in np.flatnonzero(labels == c)[8:80:18]]
    heat_sheet(
        LeafAnalyzer(models["nvfp4"]),
        [photos[i] for i in shown],
        [CLASSES[labels[i]].lower().replace("_", " ") for i in shown],
        4,
        docs / "analyze_heat_maps.png",
    )
    answers = {
        "fast": np.concatenate([measured.fast["nvfp4"][kind] for kind in CORRUPTIONS]),
        "EfficientNet-Lite0": np.concatenate([measured.baseline[kind] for kind in CORRUPTIONS]),
    }
    reliability_plot(answers, labels, docs / "analyze_reliability.png")
    typer.echo(path)


if __name__ == "__main__":
    typer.run(main)

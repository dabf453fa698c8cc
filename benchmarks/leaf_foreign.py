"""Potato leaves against pictures that nobody had seen when "not sure" was made.

The score that tells foreign pictures was chosen among others by looking at foreign pictures
(models/potato-leaf-128/README.md), so its figures on those flatter it. This measures it on others:
wallpapers of five Debian packages, photographs of plants among them, whole and in four crops each.

    apt-get download mate-backgrounds plasma-workspace-wallpapers lomiri-wallpapers-16.04 \\
        lomiri-wallpapers-20.04 ukui-wallpapers
    for each in *.deb; do dpkg-deb -x $each wallpapers; done
    python -m benchmarks.leaf_foreign --data DATA --pictures wallpapers
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from benchmarks.claims import DOCS, Claim, write_claims
from benchmarks.uses.classification import auroc
from benchmarks.uses.leaf_runs import fast_run
from nvfp4_ddim_optimizer.artifacts import load_artifact
from nvfp4_ddim_optimizer.sources import locate_model
from nvfp4_ddim_optimizer.tasks.analyze import LeafAnalyzer
from training.analyze.data import load_leaves

__all__ = ["main"]

COMMAND = "python -m benchmarks.leaf_foreign --data potato_leaf_128.zip --pictures wallpapers"
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_SIDE = 1_024  # pixels, at most
_GOAL = 0.95


def main(
    data: Annotated[Path, typer.Option(help="Folder or zip with train/ and val/.")],
    pictures: Annotated[Path, typer.Option(help="Folder with pictures that are no leaves.")],
    artifact: Annotated[str, typer.Option(help="NVFP4: name or directory.")] = "potato-leaf-128",
    docs: Annotated[Path, typer.Option(help="Where the claims go.")] = DOCS,
) -> None:
    """Measure and write docs/benchmarks/leaf_foreign.json."""
    analyzer = LeafAnalyzer(load_artifact(locate_model(artifact).location).pipeline)
    leaves = [
        Image.fromarray(image.permute(1, 2, 0).numpy()) for image in load_leaves(data, "val").images
    ]
    whole = [_read(path) for path in _files(pictures)]
    crops = [crop for picture in whole for crop in _quarters(picture)]
    unlike = {
        name: fast_run(analyzer, photos, name).unlike
        for name, photos in (("leaves", leaves), ("whole", whole), ("crops", crops))
    }
    claims = []
    for name, words in (("whole", "whole pictures"), ("crops", "crops, a quarter each")):
        count = f"{len(leaves)} held-out leaves against {len(unlike[name])} {words}"
        area = auroc(unlike["leaves"], unlike[name])
        away = 100 * float(np.mean(unlike[name] > 1))
        claims += [
            Claim(f"unseen_{name}_auroc", area, "", _GOAL, "higher", count),
            Claim(f"unseen_{name}_turned_away", away, "%", None, "higher", f"{words}, not sure"),
        ]
    kept = 100 * float(np.mean(unlike["leaves"] <= 1))
    claims.append(Claim("leaves_not_turned_away", kept, "%", None, "higher", "held-out leaves"))
    for claim in claims:
        typer.echo(f"{claim.id}: {claim.value:.4g} ({claim.note})")
    typer.echo(write_claims("leaf_foreign", COMMAND, claims, docs))


def _files(folder: Path) -> Iterator[Path]:
    """Pictures below a folder, the small copies for menus left out."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _SUFFIXES and path.is_file() and path.stem != "screenshot":
            yield path


def _read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.draft("RGB", (_SIDE, _SIDE))
        picture = image.convert("RGB")
    picture.thumbnail((_SIDE, _SIDE))
    return picture


def _quarters(picture: Image.Image) -> Iterator[Image.Image]:
    width, height = picture.width // 2, picture.height // 2
    for left in (0, width):
        for top in (0, height):
            yield picture.crop((left, top, left + width, top + height))


if __name__ == "__main__":
    typer.run(main)

"""Build the training set: 1,911 Twemoji drawings of 64x64 pixels with names and keywords.

The drawings come from the npm package emoji-datasource-twitter (art: Twemoji, Copyright Twitter,
Inc and other contributors, CC BY 4.0), the keywords from emojibase-data (MIT). Skin-tone variants
are left out.
"""

import json
import subprocess
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

__all__ = ["build_dataset"]

app = typer.Typer(help=__doc__)

DRAWINGS_PACKAGE = "emoji-datasource-twitter@16.0.0"
KEYWORDS_PACKAGE = "emojibase-data@17.0.0"
IMAGE_FOLDER = "package/img/twitter/64"
IMAGE_SIZE = 64


def _pack(package: str, folder: Path) -> Path:
    """Fetch a package's archive with `npm pack`; an archive that is there already is kept."""
    name, version = package.split("@")
    archive = folder / f"{name}-{version}.tgz"
    if not archive.exists():
        subprocess.run(["npm", "pack", package], cwd=folder, check=True, capture_output=True)
    return archive


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise FileNotFoundError(name)
    return file.read()


def _plain(hexcode: str) -> str:
    """A code sequence without the variation selector, as both packages agree on it."""
    return "-".join(part for part in hexcode.upper().split("-") if part != "FE0F")


def _keywords(archive_path: Path) -> dict[str, list[str]]:
    """Code sequence to the emoji's Unicode (CLDR) label, then its keywords."""
    with tarfile.open(archive_path) as archive:
        entries = json.loads(_member(archive, "package/en/data.json"))
    return {_plain(e["hexcode"]): [e["label"], *e.get("tags", [])] for e in entries}


def _on_white(png: bytes) -> np.ndarray:
    """A transparent PNG as uint8 [64, 64, 3] on white."""
    picture = Image.open(BytesIO(png)).convert("RGBA")
    if picture.size != (IMAGE_SIZE, IMAGE_SIZE):
        picture = picture.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.LANCZOS)
    sheet = Image.new("RGBA", picture.size, "white")
    return np.asarray(Image.alpha_composite(sheet, picture).convert("RGB"))


def _caption(entry: dict[str, Any]) -> str:
    """The lower-case Unicode name, a bar, then the short names."""
    return f"{(entry['name'] or entry['short_name']).lower()} | {' '.join(entry['short_names'])}"


def build_dataset(drawings: Path, keywords: Path) -> dict[str, np.ndarray]:
    """Arrays `images` [N, 64, 64, 3] uint8, `captions`, `category`, `hexcode`, `keywords` [N].

    Args:
        drawings: archive of emoji-datasource-twitter.
        keywords: archive of emojibase-data.
    """
    words = _keywords(keywords)
    rows: list[tuple[np.ndarray, str, str, str, str]] = []
    with tarfile.open(drawings) as archive:
        names = set(archive.getnames())
        for entry in json.loads(_member(archive, "package/emoji.json")):
            path = f"{IMAGE_FOLDER}/{entry['image']}"
            if path not in names:
                continue
            code = _plain(entry["unified"])
            joined = "; ".join(words.get(code, []))
            image = _on_white(_member(archive, path))
            rows.append((image, _caption(entry), entry["category"], code, joined))
    images, captions, category, hexcode, joined_words = zip(*rows, strict=True)
    return {
        "images": np.stack(images),
        "captions": np.array(captions),
        "category": np.array(category),
        "hexcode": np.array(hexcode),
        "keywords": np.array(joined_words),
    }


@app.command()
def main(
    output: Annotated[Path, typer.Option(help="npz to write")] = Path("training/data/emoji_64.npz"),
    packages: Annotated[
        Path | None, typer.Option(help="folder of the packages' archives; default: fetch them")
    ] = None,
) -> None:
    """Fetch both packages with npm and write the training set."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = packages or Path(temporary)
        arrays = build_dataset(_pack(DRAWINGS_PACKAGE, folder), _pack(KEYWORDS_PACKAGE, folder))
    output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(output, **arrays)  # type: ignore[arg-type]
    typer.echo(f"{len(arrays['images'])} drawings -> {output}")


if __name__ == "__main__":
    app()

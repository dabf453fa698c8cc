"""Build the training set: well-known Twemoji drawings of 64x64 pixels with names and keywords.

The drawings come from the npm package emoji-datasource-twitter (art: Twemoji, Copyright Twitter,
Inc and other contributors, CC BY 4.0), the keywords from emojibase-data (MIT). The first emoji
(Emoji 0.6) of six categories are taken, with some familiar later ones and a few flags: what a
small network can learn to draw well in an hour or two. People, letters, arrows, signs and clock
faces are left out.
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

CATEGORIES = (
    "Activities",
    "Animals & Nature",
    "Food & Drink",
    "Objects",
    "Smileys & Emotion",
    "Travel & Places",
)
FIRST_VERSION = "0.6"
FAMILIAR_NAMES = """
    bat black_cat butterfly crab deciduous_tree duck eagle evergreen_tree flamingo fox_face
    giraffe_face goat hedgehog lion_face owl parrot peacock rooster shark sloth swan t-rex
    turkey unicorn_face whale2 zebra_face
    avocado bacon broccoli burrito carrot cheese_wedge coconut croissant cucumber cupcake
    glass_of_milk green_salad hotdog kiwifruit lemon mango pancakes pear pie popcorn potato
    pretzel sandwich taco teapot waffle
    boxing_glove canoe chess_pawn compass first_place_medal flying_saucer helicopter jigsaw kite
    parachute ringed_planet scooter skateboard sled steam_locomotive sun_with_face teddy_bear
    tractor tram volleyball yo-yo
    accordion axe banjo bathtub bow_and_arrow broom bucket chair coat coin crossed_swords
    drum_with_drumsticks gear gloves hammer_and_pick harp keyboard ladder magnet microscope
    screwdriver scarf socks telescope toothbrush
    black_heart clown_face exploding_head face_with_cowboy_hat face_with_monocle grinning innocent
    money_mouth_face nerd_face orange_heart partying_face robot_face sleeping smiling_imp
    stuck_out_tongue sunglasses thinking_face upside_down_face white_heart
    cn de es flag-br flag-ca flag-ch flag-in flag-se flag-ua fr gb it jp us
"""
FAMILIAR = frozenset(FAMILIAR_NAMES.split())


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


def _wanted(entry: dict[str, Any]) -> bool:
    """Whether a drawing belongs to the training set."""
    if entry["short_name"] in FAMILIAR:
        return True
    first = entry["category"] in CATEGORIES and entry["added_in"] == FIRST_VERSION
    return first and not entry["short_name"].startswith("clock")


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
            if path not in names or not _wanted(entry):
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

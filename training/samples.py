"""Draw a contact sheet of well-known prompts from an exported model, captions below."""

from pathlib import Path
from typing import Annotated

import torch
import typer
from diffusers import StableDiffusionPipeline
from PIL import Image, ImageDraw, ImageFont

__all__ = ["PROMPTS", "draw", "load_pipeline"]

app = typer.Typer(help=__doc__)

PROMPTS = (
    "red heart",
    "a slice of watermelon",
    "a cat",
    "dog face",
    "pizza",
    "rocket",
    "snowman",
    "smiling face with sunglasses",
    "a red apple",
    "banana",
    "a bunch of grapes",
    "strawberry",
    "a red car",
    "bicycle",
    "airplane",
    "sailboat",
    "a green tree",
    "cactus",
    "sunflower",
    "a rose",
    "a cup of coffee",
    "birthday cake",
    "hamburger",
    "an ice cream",
    "a fish",
    "octopus",
    "butterfly",
    "a pig face",
    "panda",
    "fox",
    "an elephant",
    "penguin",
    "guitar",
    "soccer ball",
    "basketball",
    "trophy",
    "a house",
    "umbrella",
    "rainbow",
    "crescent moon",
    "the sun",
    "star",
    "flag of japan",
    "flag of france",
    "crying face",
    "a ghost",
    "alien",
    "light bulb",
)
CELL, CAPTION = 96, 18


def load_pipeline(model: Path) -> StableDiffusionPipeline:
    """The exported model in float32 on the CPU, quiet."""
    pipeline = StableDiffusionPipeline.from_pretrained(model, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(
    pipeline: StableDiffusionPipeline,
    prompts: list[str],
    *,
    steps: int,
    guidance: float,
    seed: int,
    batch: int = 50,
) -> list[Image.Image]:
    """One 64x64 picture for each prompt; prompt i starts from seed + i whatever the batch."""
    pictures: list[Image.Image] = []
    for first in range(0, len(prompts), batch):
        part = prompts[first : first + batch]
        seeds = range(seed + first, seed + first + len(part))
        pictures += pipeline(
            part,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(value) for value in seeds],
        ).images
    return pictures


def contact_sheet(pictures: list[Image.Image], captions: list[str], columns: int) -> Image.Image:
    """Pictures enlarged to 96 pixels in a grid, each over its caption."""
    rows = -(-len(pictures) // columns)
    width, height = CELL + 24, CELL + CAPTION + 6
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = index % columns * width, index // columns * height
        sheet.paste(picture.resize((CELL, CELL), Image.Resampling.BICUBIC), (left + 12, top + 4))
        middle = (left + width / 2, top + CELL + 6)
        pen.text(middle, caption, fill="black", font=font, anchor="ma")
    return sheet


@app.command()
def main(
    model: Annotated[Path, typer.Option(help="exported directory")] = Path("models/emoji-64"),
    output: Annotated[Path, typer.Option(help="PNG to write")] = Path("docs/model/samples.png"),
    steps: int = 20,
    guidance: float = 2.0,
    seed: int = 0,
    columns: int = 8,
) -> None:
    """Draw the 48 prompts and write the sheet."""
    prompts = list(PROMPTS)
    pictures = draw(load_pipeline(model), prompts, steps=steps, guidance=guidance, seed=seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(pictures, prompts, columns).save(output, optimize=True)
    typer.echo(f"{len(prompts)} samples -> {output}")


if __name__ == "__main__":
    app()

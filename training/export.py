"""Write the trained parts as one StableDiffusionPipeline directory, fp16 safetensors, with a card.

The directory is written beside its place and swapped in, so that a reader never sees half of it.
"""

import json
import shutil
from pathlib import Path
from typing import Annotated

import torch
import typer
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from transformers import CLIPTokenizer

from training.diffusion import load_text_encoder
from training.model_card import model_card
from training.networks import build_scheduler, build_unet

__all__ = ["assemble", "write_model"]

app = typer.Typer(help=__doc__)


def assemble(vae: Path, tokenizer: Path, text: Path, checkpoint: Path) -> StableDiffusionPipeline:
    """The pipeline in float32 with the UNet's averaged weights."""
    words, unet = CLIPTokenizer.from_pretrained(tokenizer), build_unet()
    unet.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return StableDiffusionPipeline(
        vae=AutoencoderTiny.from_pretrained(vae),
        text_encoder=load_text_encoder(text, words),
        tokenizer=words,
        unet=unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def write_model(pipeline: StableDiffusionPipeline, output: Path, card: str) -> None:
    """Save in fp16 with the model card, then put it in place of `output`."""
    fresh, old = output.with_name(output.name + ".new"), output.with_name(output.name + ".old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    pipeline.to(torch.float16)
    pipeline.save_pretrained(fresh, safe_serialization=True)
    _forget_paths(fresh)
    (fresh / "README.md").write_text(card, encoding="utf-8")
    if output.exists():
        output.rename(old)
    fresh.rename(output)
    shutil.rmtree(old, ignore_errors=True)


def _forget_paths(folder: Path) -> None:
    """Drop the `_name_or_path` entries: they name folders of the machine that trained."""
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@app.command()
def main(
    output: Annotated[Path, typer.Option(help="model directory to write")] = Path(
        "models/emoji-64"
    ),
    vae: Annotated[Path, typer.Option()] = Path("training/runs/autoencoder/final"),
    tokenizer: Annotated[Path, typer.Option()] = Path("training/runs/tokenizer"),
    text: Annotated[Path, typer.Option()] = Path("training/runs/text/text_encoder.pt"),
    checkpoint: Annotated[Path, typer.Option()] = Path("training/runs/diffusion/checkpoint.pt"),
    results: Annotated[Path, typer.Option(help="numbers for the card, if the file is there")] = (
        Path("docs/model/retrieval.json")
    ),
) -> None:
    """Assemble and write the model directory."""
    pipeline = assemble(vae, tokenizer, text, checkpoint)
    parts = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder, "vae": pipeline.vae}
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    write_model(pipeline, output, model_card(sizes, results))
    total = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    typer.echo(f"{sizes} -> {output}, {total / 1e6:.1f} MB")


if __name__ == "__main__":
    app()

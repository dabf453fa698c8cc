"""The bundled model: does it draw what was asked, and what does NVFP4 change?

200 captions that the model was trained on are drawn in full precision and in NVFP4 from the same
start noise. A sample counts as retrieved when the drawing with the prompted caption is the nearest
of all training drawings, or among the 10 nearest, in EfficientNet-Lite0 features (ImageNet).

Run: python -m benchmarks.retrieval   (after python -m training.emoji_data)
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image, ImageDraw, ImageFont
from rich.progress import track
from torch import Tensor

from benchmarks.claims import DOCS, Claim, write_claims
from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.sources import load_diffusers, locate_model
from nvfp4_ddim_optimizer.tasks import TextConditioner, TextToImageModel, generate_images
from training.captions import load_entries, sampling_weights
from training.common import load_images
from training.evaluate import features, load_feature_network, retrieval
from training.samples import PROMPTS

__all__ = ["main"]

COMMAND = "python -m benchmarks.retrieval"
CAPTIONS, BATCH, SEED = 200, 20, 1000
SHEET_COLUMNS, SHEET_PICTURES, CELL, MARGIN = 6, 36, 96, 10

Paint = Callable[[list[str], list[int]], list[Image.Image]]


def _full_precision(directory: Path, steps: int, guidance_scale: float) -> Paint:
    pipeline = load_diffusers(locate_model(directory))
    model = TextToImageModel.from_diffusers(pipeline)
    conditioner = TextConditioner(model.tokenizer, model.text_encoder, model.device)
    height, width = model.native_size
    return lambda prompts, seeds: generate_images(
        model,
        conditioner,
        prompts,
        seeds,
        model.diffusion.uniform_timesteps(steps),
        guidance_scale=guidance_scale,
        height=height,
        width=width,
    )


def _paint_all(paint: Paint, prompts: list[str], label: str) -> list[Image.Image]:
    pictures: list[Image.Image] = []
    for first in track(range(0, len(prompts), BATCH), description=label):
        batch = prompts[first : first + BATCH]
        pictures += paint(batch, list(range(SEED + first, SEED + first + len(batch))))
    return pictures


def _tensor(pictures: list[Image.Image]) -> Tensor:
    """Pictures as [N, 3, H, W] uint8."""
    return torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2)


def _psnr(first: Tensor, second: Tensor) -> float:
    """Median over pictures of the peak signal-to-noise ratio in dB, for uint8 [N, 3, H, W]."""
    error = (first.double() - second.double()).square().mean(dim=(1, 2, 3)).clamp(min=1e-3)
    return float((10 * torch.log10(255**2 / error)).median())


def _sheet(pairs: list[tuple[Image.Image, Image.Image]], captions: list[str]) -> Image.Image:
    """Pairs, enlarged, each over its caption."""
    cell_width, cell_height = 2 * CELL + MARGIN, CELL + 22
    rows = -(-len(pairs) // SHEET_COLUMNS)
    sheet = Image.new("RGB", (SHEET_COLUMNS * cell_width, rows * cell_height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for index, (pair, caption) in enumerate(zip(pairs, captions, strict=True)):
        left = index % SHEET_COLUMNS * cell_width
        top = index // SHEET_COLUMNS * cell_height
        for offset, picture in enumerate(pair):
            enlarged = picture.resize((CELL, CELL), Image.Resampling.BICUBIC)
            sheet.paste(enlarged, (left + MARGIN // 2 + offset * CELL, top))
        middle = (left + cell_width / 2, top + CELL + 3)
        pen.text(middle, caption, fill="black", font=font, anchor="ma")
    return sheet


def main(
    model: Annotated[Path, typer.Option(help="Full precision.")] = Path("models/emoji-64"),
    artifact: Annotated[str, typer.Option(help="NVFP4: name or directory.")] = "emoji-64",
    data: Annotated[Path, typer.Option(help="Drawings.")] = Path("training/data/emoji_64.npz"),
    steps: Annotated[int, typer.Option(help="DDIM steps of both.")] = 20,
) -> None:
    """Measure, write the claims and the contact sheet."""
    # The preset that takes no shortcuts: only the format is to differ.
    quantised = OptimizationPipeline.from_preset(artifact, "quality")
    guidance_scale = quantised.default_guidance_scale
    painters: dict[str, Paint] = {
        "full precision": _full_precision(model, steps, guidance_scale),
        "NVFP4": lambda prompts, seeds: quantised.generate(
            prompts, seed=seeds, num_inference_steps=steps
        ),
    }
    entries = load_entries(data)
    generator = torch.Generator().manual_seed(0)
    weights = torch.from_numpy(sampling_weights(entries))
    wanted = torch.multinomial(weights, CAPTIONS, replacement=False, generator=generator)
    prompts = [entries[index].phrases[0] for index in wanted.tolist()]

    network = load_feature_network()
    drawings = features(network, load_images(data))
    pictures = {name: _tensor(_paint_all(p, prompts, name)) for name, p in painters.items()}
    shares = {
        name: retrieval(features(network, painted), drawings, wanted)
        for name, painted in pictures.items()
    }
    psnr = _psnr(*pictures.values())

    known = list(PROMPTS[:SHEET_PICTURES])
    both = [_paint_all(paint, known, f"sheet, {name}") for name, paint in painters.items()]
    DOCS.mkdir(parents=True, exist_ok=True)
    sheet = _sheet(list(zip(*both, strict=True)), known)
    sheet.quantize(256).save(DOCS / "retrieval_samples.png", optimize=True)

    note = f"{CAPTIONS} captions, {steps} DDIM steps, guidance {guidance_scale:g}"
    claims = [
        Claim(f"bundled_retrieval_{k}{suffix}", 100 * shares[name][k], "%", None, "higher", what)
        for k in ("top1", "top10")
        for name, suffix, what in (
            ("NVFP4", "", f"NVFP4, {note}"),
            ("full precision", "_fp", f"full precision, {note}"),
        )
    ]
    claims.append(
        Claim("bundled_paired_psnr", psnr, "dB", None, "higher", "NVFP4 against full precision")
    )
    path = write_claims("retrieval", COMMAND, claims)
    typer.echo(f"{shares}\npaired PSNR {psnr:.1f} dB -> {path}")


if __name__ == "__main__":
    typer.run(main)

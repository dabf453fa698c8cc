"""Average the weights of several checkpoints of one descent: a little better than any of them.

Source: Wortsman et al. 2022, "Model soups" (arXiv:2203.05482), the uniform soup.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

__all__ = ["main"]


def main(
    checkpoints: Annotated[list[Path], typer.Argument(help="weights from diffusion")],
    output: Annotated[Path, typer.Option()] = Path("training/runs/interpolate/average.pt"),
) -> None:
    """Write the mean."""
    weights = [torch.load(path, weights_only=True) for path in checkpoints]
    torch.save({k: sum(w[k] for w in weights) / len(weights) for k in weights[0]}, output)


if __name__ == "__main__":
    typer.run(main)

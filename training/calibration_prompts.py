"""Write prompts to calibrate the quantisation on: labels of drawings from all categories."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from training.captions import load_entries

__all__ = ["choose"]

app = typer.Typer(help=__doc__)


def choose(labels: list[str], count: int, seed: int) -> list[str]:
    """Draw `count` of the labels without repetition, all of them if there are fewer."""
    order = np.random.default_rng(seed).permutation(len(labels))
    return [labels[index] for index in order[:count]]


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="npz of images")] = Path("training/data/emoji_64.npz"),
    output: Annotated[Path, typer.Option(help="text file, a prompt a line")] = Path(
        "training/data/prompts.txt"
    ),
    count: Annotated[int, typer.Option(min=1, help="how many")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="which ones")] = 0,
) -> None:
    """Choose labels and write them."""
    chosen = choose([entry.phrases[0] for entry in load_entries(data)], count, seed)
    temporary = output.with_suffix(".tmp")
    temporary.write_text("".join(f"{prompt}\n" for prompt in chosen), "utf-8")
    temporary.replace(output)
    typer.echo(f"{len(chosen)} prompts -> {output}")


if __name__ == "__main__":
    app()
